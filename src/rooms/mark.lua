-- Leaves a session's mark, if the fence is not of the past.
-- KEYS: the session. ARGV: fence, mark, the life in milliseconds.
-- Answers: 1, or 0 if a newer owner has taken over.
if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) then
  return 0
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'mark', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
