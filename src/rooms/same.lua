-- Whether two accounts, each given by its names, have one in common.
local function same(one, other)
  for name in string.gmatch(one, '[^/]+') do
    if string.find('/' .. other .. '/', '/' .. name .. '/', 1, true) then
      return true
    end
  end
  return false
end
