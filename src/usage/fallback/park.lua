-- Moves entries out of the way, to where an operator can look at them; the oldest there make room.
-- KEYS: waiting, parked. ARGV: most parked entries, longest text, then ids and causes in turn.
for at = 3, #ARGV, 2 do
    local entry = redis.call('XRANGE', KEYS[1], ARGV[at], ARGV[at])[1]
    if entry then
        local text = string.sub(entry[2][2], 1, tonumber(ARGV[2]))
        redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[1], '*', 'usage', text, 'why', ARGV[at + 1])
        redis.call('XDEL', KEYS[1], ARGV[at])
    end
end
return 0
