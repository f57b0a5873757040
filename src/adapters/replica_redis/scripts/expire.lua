-- Every key of the run lives this long, unless something is appended. KEYS: meta. ARGV: tag, life in ms.
if redis.call('EXISTS', KEYS[1]) == 1 then
  live(KEYS[1], ARGV[1], ARGV[2])
  -- The next batch makes all of them live on.
  redis.call('HSET', KEYS[1], 'refreshed', '0')
  -- Commands that nobody has taken are for nobody any more.
  local inbox = 'inbox:' .. ARGV[1]
  if redis.call('PTTL', inbox) > tonumber(ARGV[2]) then
    redis.call('PEXPIRE', inbox, ARGV[2])
  end
end
return { 'done' }
