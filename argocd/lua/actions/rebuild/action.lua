local os = require("os")
local annotations = obj.metadata.annotations or {}
annotations["mainstay.dev/rebuild-at"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
obj.metadata.annotations = annotations
return obj
