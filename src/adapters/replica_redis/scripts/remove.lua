-- Forgets the run. KEYS: meta. ARGV: tag, channel.
for _, stream in ipairs(streams_of(KEYS[1], ARGV[1])) do
  redis.call('UNLINK', stream[1])
end
redis.call('UNLINK', 'screen:' .. ARGV[1], 'inbox:' .. ARGV[1], KEYS[1])
redis.call('PUBLISH', ARGV[2], '0')
return { 'done' }
