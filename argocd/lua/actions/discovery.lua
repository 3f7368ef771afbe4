-- What a person can do about an object, and which of it would do nothing now.
local spec = obj.spec or {}
local status = obj.status or {}
local suspended = spec.suspend == true

local function action(icon, enabled)
  return {iconClass = "fa fa-fw fa-" .. icon, disabled = not enabled}
end

if obj.kind == "ImageBuild" then
  return {reconcile = action("sync", status.completedAt == nil)}
end

local actions = {
  -- A suspended ContainerImage still looks at the registry.
  reconcile = action("sync", not suspended or obj.kind == "ContainerImage"),
  suspend = action("pause", not suspended),
  resume = action("play", suspended),
}

if obj.kind == "ContainerImage" then
  local failed = false
  for _, variant in ipairs(status.variants or {}) do
    failed = failed or variant.lastFailure ~= nil
  end
  actions["rebuild"] = action("redo", failed and not suspended)
end

if obj.kind == "ManifestPin" then
  -- Holds of spec.hold are lifted where they were made.
  local named = {}
  for _, image in ipairs(spec.hold or {}) do
    named[image] = true
  end
  local held = false
  for _, pin in ipairs(status.pins or {}) do
    held = held or (pin.reason == "Held" and not named[pin.image])
  end
  actions["resume-holds"] = action("unlock", held and not suspended)
end

return actions
