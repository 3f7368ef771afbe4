-- Not nil: Lua would make an empty list of a spec that held nothing else, and Argo CD would keep the old one.
obj.spec.suspend = false
return obj
