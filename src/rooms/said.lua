-- One session's finals among 200 of a room before a place there.
-- KEYS: the history. ARGV: session, n (those up to it are not wanted), the place (an id; empty: the
-- end). Answers: the place before which to look on (empty: there are no more), then of each final its
-- id, session, n, body, account and seal, the newest first: who asks looks whether a replica wrote it.
local n = tonumber(ARGV[2])
local page = redis.call('XREVRANGE', KEYS[1], ARGV[3] == '' and '+' or '(' .. ARGV[3], '-', 'COUNT', 200)
local out = { #page == 200 and page[200][1] or '' }
for _, entry in ipairs(page) do
  if entry[2][2] == ARGV[1] then
    local said = tonumber(entry[2][4] or '') or 0
    if said > n then
      out[#out + 1] = entry[1]
      for field = 2, 10, 2 do
        out[#out + 1] = entry[2][field] or ''
      end
    end
    if said <= n + 1 then
      out[1] = ''
      return out
    end
  end
end
return out
