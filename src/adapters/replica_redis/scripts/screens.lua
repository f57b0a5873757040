-- Keeps screens. KEYS: meta, screens. ARGV: epoch, the seq of the screens that these build on (0: these are all),
-- their seq, then the field and the screen of each stream.
local known = redis.call('HGET', KEYS[1], 'epoch')
if not known then
  return { 'behind', '0', ARGV[3] }
end
if tonumber(ARGV[1]) < tonumber(known) then
  return { 'fenced', known }
end
if ARGV[2] ~= '0' then
  local held = redis.call('HGET', KEYS[2], 'seq') or '0'
  if held ~= ARGV[2] then
    return { 'behind', held, ARGV[3] }
  end
end
-- The first write, which a server whose memory is used up refuses.
redis.call('HSET', KEYS[2], 'seq', ARGV[3])
if ARGV[2] == '0' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    if field ~= 'seq' then
      redis.call('HDEL', KEYS[2], field)
    end
  end
end
for place = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[place], ARGV[place + 1])
end
-- They go with the run.
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
return { 'done' }
