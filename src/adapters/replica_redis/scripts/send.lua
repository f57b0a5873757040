-- Leaves a command for the owner. KEYS: inbox. ARGV: channel, life in ms, most commands, the command.
local now = redis.call('TIME')
local oldest = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - tonumber(ARGV[2])
redis.call('XTRIM', KEYS[1], 'MINID', text(oldest))
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  return { 'full' }
end
redis.call('XADD', KEYS[1], '*', 'c', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[1], '1')
return { 'done' }
