-- The last finals of one session that follow a number.
-- KEYS: the history. ARGV: session, n, the most finals. Answers: of each its id, session, n, body, account
-- and seal, the newest first: who asks looks whether a replica wrote it.
local out, from = {}, '+'
while #out < 6 * tonumber(ARGV[3]) do
  local page = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', 200)
  if #page == 0 then
    return out
  end
  for _, entry in ipairs(page) do
    if entry[2][2] == ARGV[1] then
      local n = tonumber(entry[2][4] or '') or 0
      if n <= tonumber(ARGV[2]) then
        return out
      end
      if #out < 6 * tonumber(ARGV[3]) then
        out[#out + 1] = entry[1]
        for field = 2, 10, 2 do
          out[#out + 1] = entry[2][field] or ''
        end
      end
      if n == tonumber(ARGV[2]) + 1 then
        return out
      end
    end
    from = '(' .. entry[1]
  end
end
return out
