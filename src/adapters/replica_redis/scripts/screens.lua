-- Keeps keyframes. KEYS: meta, screens. ARGV: epoch, then the field and the keyframe of each.
local known = redis.call('HGET', KEYS[1], 'epoch')
if not known then
  return { 'done' }
end
if tonumber(ARGV[1]) < tonumber(known) then
  return { 'fenced', known }
end
for place = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[place], ARGV[place + 1])
end
-- They go with the run.
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
return { 'done' }
