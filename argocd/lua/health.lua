-- Health of every kind of mainstay.dev. They all say how they are in one condition, Ready or Succeeded: True is as wanted, Unknown is
-- normal work, False is a problem. Argo CD gives scripts of argocd-cm no string library.
local status = obj.status or {}
local summary = nil
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" or condition.type == "Succeeded" then
    summary = condition
  end
end

local function health(word, message)
  return {status = word, message = message}
end

-- First, because a person decided it: neither old problems nor work that waits matter until somebody resumes.
if obj.spec and obj.spec.suspend then
  if summary == nil or summary.reason == "Suspended" then
    return health("Suspended", summary and summary.message or "spec.suspend is true")
  end
  return health("Suspended", "spec.suspend is true. " .. summary.reason .. ": " .. summary.message)
end

if summary == nil then
  return health("Progressing", "not yet seen by the operator")
end
if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the last change of the spec is not yet seen by the operator")
end

-- Images and pins that are not from main. Where nobody is asked to act the object is healthy: the ManifestPin that finds a violation
-- is not Ready, and a ContainerImage is no less built because a pod somewhere runs another tag.
local function violations()
  local found = status.violations
  if type(found) == "number" and found > 0 then
    return "; " .. found .. " not from main, see status.pins"
  end
  if type(found) == "table" and #found > 0 then
    return "; " .. #found .. " not from main, first: " .. found[1].at .. ": " .. found[1].tag
  end
  return ""
end

if summary.status == "True" then
  return health("Healthy", summary.message .. violations())
end

if summary.status == "Unknown" then
  -- A pin that waits for its image has done its part. The ContainerImage says whether that image is being built, has failed or is
  -- suspended; a pin that were Progressing all the while would hide it.
  if summary.reason == "NoMainImage" then
    return health("Healthy", summary.message)
  end
  return health("Progressing", summary.message)
end

-- False, also while the operator goes on trying: what is tried again may fail for days, as with a Secret that nobody creates.
local message = summary.reason .. ": " .. summary.message
for _, variant in ipairs(status.variants or {}) do
  local failure = variant.lastFailure
  if failure then
    message = message .. "\n" .. variant.variant .. ": " .. failure.reason .. " in ImageBuild " .. failure.build
  end
end
return health("Degraded", message)
