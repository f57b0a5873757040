-- Appends a batch. KEYS: meta, then each stream of the batch.
-- ARGV: tag, channel, life in ms, epoch, seq before the batch, seq through which all is recorded, largest cost;
-- for each stream its field in meta and the value of that after the batch;
-- for each entry the place of its stream, its seq, the number of its words, the words.
--
-- An error in the middle leaves entries that meta does not tell of: nobody reads them, and the repeat skips
-- what is there. The first write is XADD, so a server whose memory is used up refuses before any.

local REFRESH_SECS = 3600

local meta, tag, channel, life_ms = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local epoch, before, recorded = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local largest = tonumber(ARGV[7])
local streams = #KEYS - 1
local place = 8 + 2 * streams

local known = redis.call('HMGET', meta, 'epoch', 'seq', 'trimmed', 'largest', 'refreshed')
if not known[1] then
  return { 'behind', '0', ARGV[place + 1] or text(before + 1) }
end
if epoch < tonumber(known[1]) then
  return { 'fenced', known[1] }
end
local tail, trimmed = tonumber(known[2]), tonumber(known[3])

while place <= #ARGV and tonumber(ARGV[place + 1]) <= tail do
  before = tonumber(ARGV[place + 1])
  place = place + 3 + tonumber(ARGV[place + 2])
end
if place > #ARGV then
  if epoch > tonumber(known[1]) then
    redis.call('HSET', meta, 'epoch', ARGV[4])
  end
  return { 'done' }
end
local first = tonumber(ARGV[place + 1])
if tail < before and before > recorded then
  return { 'behind', known[2], ARGV[place + 1] }
end

-- A stream that meta names is there, if only emptied; else the server has evicted it.
local is_new = {}
for index = 1, streams do
  local key = KEYS[index + 1]
  local told, there = redis.call('HEXISTS', meta, ARGV[6 + 2 * index]), redis.call('EXISTS', key)
  if told == 1 and there == 0 then
    for _, stream in ipairs(streams_of(meta, tag)) do
      redis.call('UNLINK', stream[1])
      redis.call('HDEL', meta, stream[3])
    end
    redis.call('HSET', meta, 'seq', '0', 'trimmed', '0')
    return { 'behind', '0', ARGV[place + 1] }
  end
  if told == 0 then
    is_new[index] = true
    if there == 1 then
      redis.call('UNLINK', key)
    end
  end
end

local touched, last = {}, nil
while place <= #ARGV do
  local index, words = tonumber(ARGV[place]), tonumber(ARGV[place + 2])
  last = ARGV[place + 1]
  local added = redis.pcall('XADD', KEYS[index + 1], last .. '-0', unpack(ARGV, place + 3, place + 2 + words))
  if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller', 1, true) then
    return added
  end
  touched[index] = true
  place = place + 3 + words
end

-- What was replicated and is not in the log of a later owner is no part of the run.
local epoch_size = 4294967296
if tail > before or math.floor(first / epoch_size) > math.floor(tail / epoch_size) then
  cut(meta, tag, before, first)
end
if tail < before then
  trim(meta, tag, trimmed, before)
  trimmed = before
end
local told = { 'epoch', ARGV[4], 'seq', last, 'trimmed', text(trimmed) }
if largest > tonumber(known[4]) then
  told[#told + 1] = 'largest'
  told[#told + 1] = ARGV[7]
end
for index in pairs(touched) do
  told[#told + 1] = ARGV[6 + 2 * index]
  told[#told + 1] = ARGV[7 + 2 * index]
end
local now = tonumber(redis.call('TIME')[1])
local is_stale = now - tonumber(known[5]) >= REFRESH_SECS
if is_stale then
  told[#told + 1] = 'refreshed'
  told[#told + 1] = text(now)
end
redis.call('HSET', meta, unpack(told))
if is_stale then
  live(meta, tag, life_ms)
else
  for index in pairs(is_new) do
    redis.call('PEXPIRE', KEYS[index + 1], life_ms)
  end
end
redis.call('PUBLISH', channel, last)
return { 'done' }
