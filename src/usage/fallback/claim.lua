-- Claims the drain, or renews the claim, and reads the oldest entries; nothing if another drains.
-- KEYS: drain, waiting. ARGV: who claims, milliseconds of the claim, entries, longest text.
-- Answers with ids and texts in turn; what is too long to be ours is read as ''.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return {}
end
local entries = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[3])
if #entries == 0 then
    redis.call('DEL', KEYS[1])
    return {}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local answer = {}
for _, entry in ipairs(entries) do
    local text = entry[2][2]
    if #text > tonumber(ARGV[4]) then
        text = ''
    end
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = text
end
return answer
