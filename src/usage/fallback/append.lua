-- Puts usage into the stream, each entry in the place of an older one of its session, if any.
-- What was in is never taken out before the new one is in, and a full stream takes nothing more.
-- KEYS: waiting. ARGV: most entries, then for each entry the id of the older one or '', and the text.
-- Answers with the new ids, '' where there was no room.
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local ids = {}
for at = 2, #ARGV, 2 do
    local old = ARGV[at]
    local replaces = old ~= '' and #redis.call('XRANGE', KEYS[1], old, old) == 1
    local id = ''
    if replaces or room > 0 then
        id = redis.call('XADD', KEYS[1], '*', 'usage', ARGV[at + 1])
        if replaces then
            redis.call('XDEL', KEYS[1], old)
        else
            room = room - 1
        end
    end
    ids[#ids + 1] = id
end
return ids
