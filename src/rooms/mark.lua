-- Leaves a session's mark, if the fence is not of the past. A mark never goes back.
-- KEYS: the session, who speaks, the meta. ARGV: fence, mark, its n and milliseconds; the life in milliseconds;
-- the session; how long it counts as speaking, in milliseconds.
-- Answers: 1, or 0 if a newer owner has taken over.
local owned = redis.call('HMGET', KEYS[1], 'fence', 'mark_fence', 'mark_n', 'mark_ms')
local mark = { tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4]) }
if mark[1] < tonumber(owned[1] or 0) then
  return 0
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
-- One that says nothing for long keeps its room all the same.
redis.call('PEXPIRE', KEYS[3], ARGV[5])
local time = redis.call('TIME')
-- One that has ended speaks no more.
redis.call('ZADD', KEYS[2], 'XX', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[7], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
for at = 1, 3 do
  local before = tonumber(owned[at + 1] or 0)
  if mark[at] < before then
    return 1
  elseif mark[at] > before then
    break
  end
end
redis.call('HSET', KEYS[1], 'mark', ARGV[2], 'mark_fence', ARGV[1], 'mark_n', ARGV[3], 'mark_ms', ARGV[4])
return 1
