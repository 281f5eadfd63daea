"""What Redis does in one go with a session's hash: scripts in its Lua, each on one key.

A hash has the fields `epoch`, `step`, `state`, `reply`, `created` and `updated`, state and reply
empty for none. An ended session is a hash with the field `ended` alone, for a minute: it refuses
the writes of connections that are still open.
"""

FIELDS = ("epoch", "step", "state", "reply", "created", "updated")

# epoch, time, time to live (ms) -> the fields
CONNECT = f"""
local key, epoch, now = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'ended') == 1 then
  redis.call('DEL', key)
  redis.call('HSET', key, 'step', 0, 'state', '', 'reply', '', 'created', now)
end
redis.call('HSET', key, 'epoch', epoch, 'updated', now)
redis.call('PEXPIRE', key, ARGV[3])
return redis.call('HMGET', key, {", ".join(f"'{name}'" for name in FIELDS)})
"""

# the writer's epoch and known step, the new epoch and step, state, reply, time, time to live (ms)
# -> the outcome
COMMIT = """
local key, known, step = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local found = redis.call('HMGET', key, 'epoch', 'step')
local at = tonumber(found[2] or -1)
if redis.call('EXISTS', key) == 0 then
  if known > 0 then return 'missing' end
  redis.call('HSET', key, 'created', ARGV[7])
elseif not (found[1] == ARGV[3] and at == step)
  and not (found[1] == ARGV[1] and known <= at and at < step) then
  return 'conflict'
end
redis.call('HSET', key, 'epoch', ARGV[3], 'step', ARGV[4], 'state', ARGV[5], 'reply', ARGV[6],
           'updated', ARGV[7])
redis.call('PEXPIRE', key, ARGV[8])
return 'stored'
"""

# -> 1 where there was a session
DELETE = """
if redis.call('HEXISTS', KEYS[1], 'epoch') == 0 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'ended', 1)
redis.call('PEXPIRE', KEYS[1], 60000)
return 1
"""
