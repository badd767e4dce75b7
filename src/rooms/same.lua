-- Whether a room's owner, sealed, goes by one of those names, each sealed. Names follow the first dot.
local function same(owner, names)
  for name in string.gmatch(string.match(owner, '^[^.]*%.(.*)$') or '', '[^/]+') do
    if string.find('/' .. names .. '/', '/' .. name .. '/', 1, true) then
      return true
    end
  end
  return false
end
