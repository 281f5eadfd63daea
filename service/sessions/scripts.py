"""Lua scripts of Redis: each changes a session's hash in one go.

A hash has the fields `epoch`, `step`, `state`, `reply`, `created`, `updated` and `seal`, state and
reply empty for none. An ended session is a hash with the field `ended` alone, for a minute: it
refuses the writes of connections that are still open. Beside them each owner has a sorted set of
the keys of its sessions by their last write, so that its own oldest ones make room.

Scripts measure before they read: others may write to a Redis, too.
"""

FIELDS = ("epoch", "step", "state", "reply", "created", "updated", "seal")
NAMES = ", ".join(f"'{name}'" for name in FIELDS)

# What is wrong with a key, nil for nothing; the longest field that is read.
_CHECK = f"""
local function kind_of(key) return redis.call('TYPE', key)['ok'] end
local function damage_of(key, most)
  local kind = kind_of(key)
  if kind ~= 'hash' then return 'it was a ' .. kind end
  for _, name in ipairs({{{NAMES}}}) do
    local size = redis.call('HSTRLEN', key, name)
    if size > most then return 'its ' .. name .. ' had ' .. size .. ' bytes' end
  end
  return nil
end
local function is_missing(key)
  local kind = kind_of(key)
  return kind == 'none' or (kind == 'hash' and redis.call('HEXISTS', key, 'ended') == 1)
end
"""

# Note a write in the owner's set; of more than `each` sessions (0 for any number) the oldest go.
_INDEX = """
local function index(set, key, now, ttl, each)
  if each == 0 then return end
  if kind_of(set) ~= 'zset' then redis.call('DEL', set) end
  redis.call('ZADD', set, now, key)
  redis.call('PEXPIRE', set, ttl)
  if redis.call('ZCARD', set) <= each then return end
  redis.call('ZREMRANGEBYSCORE', set, '-inf', now - ttl / 1000)
  local over = math.min(redis.call('ZCARD', set) - each, 100)
  for _, oldest in ipairs(redis.call('ZRANGE', set, 0, over - 1)) do
    redis.call('DEL', oldest)
    redis.call('ZREM', set, oldest)
  end
end
"""

# longest field -> 'none', or 'damaged' and why, or 'found', '' and the fields
LOAD = f"""{_CHECK}
local key = KEYS[1]
if is_missing(key) then return {{'none'}} end
local damage = damage_of(key, tonumber(ARGV[1]))
if damage then return {{'damaged', damage}} end
return {{'found', '', unpack(redis.call('HMGET', key, {NAMES}))}}
"""

# longest field, epoch, time, time to live (ms), most sessions, 1 to begin one where there is none
# -> as LOAD; what was damaged has been replaced by a new session
CONNECT = f"""{_CHECK}{_INDEX}
local key, epoch, now = KEYS[1], ARGV[2], ARGV[3]
local missing, damage = is_missing(key), nil
if missing and ARGV[6] == '0' then return {{'none'}} end
if not missing then damage = damage_of(key, tonumber(ARGV[1])) end
if missing or damage then
  redis.call('DEL', key)
  redis.call('HSET', key, 'step', 0, 'state', '', 'reply', '', 'created', now)
end
redis.call('HSET', key, 'epoch', epoch, 'updated', now)
redis.call('PEXPIRE', key, ARGV[4])
index(KEYS[2], key, tonumber(now), tonumber(ARGV[4]), tonumber(ARGV[5]))
return {{'found', damage or '', unpack(redis.call('HMGET', key, {NAMES}))}}
"""

# the writer's epoch and known step, the new epoch and step, state, reply, seal, time, time to live
# (ms), most sessions -> the outcome
COMMIT = f"""{_CHECK}{_INDEX}
local key, known, step, now = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[4]), ARGV[8]
local kind = kind_of(key)
if kind ~= 'hash' then
  redis.call('DEL', key)
  if known > 0 then return 'missing' end
  redis.call('HSET', key, 'created', now)
else
  local found = redis.call('HMGET', key, 'epoch', 'step')
  local at = tonumber(found[2] or '') or -1
  if not (found[1] == ARGV[3] and at == step)
    and not (found[1] == ARGV[1] and known <= at and at < step) then
    return 'conflict'
  end
end
redis.call('HSET', key, 'epoch', ARGV[3], 'step', ARGV[4], 'state', ARGV[5], 'reply', ARGV[6],
           'seal', ARGV[7], 'updated', now)
redis.call('PEXPIRE', key, ARGV[9])
index(KEYS[2], key, tonumber(now), tonumber(ARGV[9]), tonumber(ARGV[10]))
return 'stored'
"""

# -> 1 where there was a session
DELETE = f"""{_CHECK}
if is_missing(KEYS[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'ended', 1)
redis.call('PEXPIRE', KEYS[1], 60000)
if kind_of(KEYS[2]) == 'zset' then redis.call('ZREM', KEYS[2], KEYS[1]) end
return 1
"""
