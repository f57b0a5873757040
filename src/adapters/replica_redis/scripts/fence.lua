-- From now on an epoch is the only writer. KEYS: meta. ARGV: tag, life in ms, epoch. Answers with meta.
local meta, tag, life_ms, epoch = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local known = redis.call('HGET', meta, 'epoch')
if known and tonumber(epoch) < tonumber(known) then
  return { 'fenced', known }
end
-- After a write that takes no memory, the others are allowed on a server whose memory is used up.
redis.call('HDEL', meta, '-')
if known then
  redis.call('HSET', meta, 'epoch', epoch)
else
  redis.call('HSET', meta, 'epoch', epoch, 'seq', '0', 'trimmed', '0', 'largest', '0', 'refreshed', '0')
end
live(meta, tag, life_ms)
local fields = redis.call('HGETALL', meta)
table.insert(fields, 1, 'done')
return fields
