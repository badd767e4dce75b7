-- Gives back what sessions hold or wait for.
-- KEYS: the sets. ARGV: of each set the session that leaves it.
for number, session in ipairs(ARGV) do
  redis.call('ZREM', KEYS[number], session)
end
return 0
