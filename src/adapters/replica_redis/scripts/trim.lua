-- Forgets everything through a mark. KEYS: meta. ARGV: tag, channel, the mark.
local meta, tag, mark = KEYS[1], ARGV[1], tonumber(ARGV[3])
local known = redis.call('HMGET', meta, 'seq', 'trimmed')
if not known[1] or mark <= tonumber(known[2]) then
  return { 'done' }
end
-- After a write that takes no memory, the others are allowed on a server whose memory is used up.
redis.call('HDEL', meta, '-')
trim(meta, tag, tonumber(known[2]), mark)
redis.call('HSET', meta, 'trimmed', text(mark))
if mark > tonumber(known[1]) then
  redis.call('HSET', meta, 'seq', text(mark))
end
redis.call('PUBLISH', ARGV[2], text(math.max(mark, tonumber(known[1]))))
return { 'done' }
