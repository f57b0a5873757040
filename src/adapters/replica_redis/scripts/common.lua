-- What all scripts share. Numbers travel as strings; a seq is below 2^53, so Lua holds it exactly.
-- `meta` names every stream of the run: the field `events`, and `NODE:STREAM` for each terminal. The last
-- word of such a field is the seq of the last entry of the stream.

local function text(number)
  return string.format('%.0f', number)
end

local function is_stream(field)
  return field == 'events' or string.find(field, ':', 1, true) ~= nil
end

local function key_of(tag, field)
  if field == 'events' then
    return 'events:' .. tag
  end
  return 'terminal:' .. tag .. ':' .. field
end

local function last_seq(value)
  return tonumber(string.match(value, '(%d+)$'))
end

-- The streams that `meta` names: a list of { key, last seq, field }.
local function streams_of(meta, tag)
  local found = {}
  local fields = redis.call('HGETALL', meta)
  for place = 1, #fields, 2 do
    if is_stream(fields[place]) then
      found[#found + 1] = { key_of(tag, fields[place]), last_seq(fields[place + 1]), fields[place] }
    end
  end
  return found
end

-- Every key of the run lives this long from now on.
local function live(meta, tag, life_ms)
  for _, stream in ipairs(streams_of(meta, tag)) do
    redis.call('PEXPIRE', stream[1], life_ms)
  end
  redis.call('PEXPIRE', 'screen:' .. tag, life_ms)
  redis.call('PEXPIRE', meta, life_ms)
end

-- Takes out what stands after `after` and before `first`.
local function cut(meta, tag, after, first)
  for _, stream in ipairs(streams_of(meta, tag)) do
    repeat
      local from, to = text(after + 1) .. '-0', '(' .. text(first) .. '-0'
      local entries = redis.call('XRANGE', stream[1], from, to, 'COUNT', 100)
      for _, entry in ipairs(entries) do
        redis.call('XDEL', stream[1], entry[1])
      end
    until #entries == 0
  end
end

-- Forgets everything through `mark`; `known` is the mark there was.
local function trim(meta, tag, known, mark)
  for _, stream in ipairs(streams_of(meta, tag)) do
    if stream[2] > known then
      redis.call('XTRIM', stream[1], 'MINID', text(mark + 1) .. '-0')
    end
  end
end
