-- Leaves a session's mark, if the fence is not of the past.
-- KEYS: the session, who speaks. ARGV: fence, mark, the life in milliseconds; the session; how long it
-- counts as speaking, in milliseconds.
-- Answers: 1, or 0 if a newer owner has taken over.
if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) then
  return 0
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'mark', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local time = redis.call('TIME')
-- One that has ended speaks no more.
redis.call('ZADD', KEYS[2], 'XX', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[5], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
