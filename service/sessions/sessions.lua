-- The operations on sessions in Redis, each of which changes a session's hash in one go.
--
-- A hash has the fields `epoch`, `step`, `state`, `reply`, `created`, `updated` and `seal`, state
-- and reply empty for none. An ended session is a hash with the field `ended` alone, for a minute:
-- it refuses the writes of connections that are still open. Beside them each owner has a sorted set
-- of the keys of its sessions by their last write, so that its own oldest ones make room.
--
-- Fields are measured before they are read: others may write to a Redis, too.

local FIELDS = {'epoch', 'step', 'state', 'reply', 'created', 'updated', 'seal'}
local key, set = KEYS[1], KEYS[2]

local function kind_of(name) return redis.call('TYPE', name)['ok'] end

local function is_missing()
  local kind = kind_of(key)
  return kind == 'none' or (kind == 'hash' and redis.call('HEXISTS', key, 'ended') == 1)
end

-- What is wrong with the session, nil for nothing.
local function damage_of(longest)
  local kind = kind_of(key)
  if kind ~= 'hash' then return 'it was a ' .. kind end
  for _, name in ipairs(FIELDS) do
    local size = redis.call('HSTRLEN', key, name)
    if size > longest then return 'its ' .. name .. ' had ' .. size .. ' bytes' end
  end
  return nil
end

local function found(damage)
  return {'found', damage or '', unpack(redis.call('HMGET', key, unpack(FIELDS)))}
end

-- Note a write in the owner's set; of more than `each` sessions (0 for any number) the oldest go.
local function index(now, ttl_ms, each)
  if each == 0 then return end
  if kind_of(set) ~= 'zset' then redis.call('DEL', set) end
  redis.call('ZADD', set, now, key)
  redis.call('PEXPIRE', set, ttl_ms)
  if redis.call('ZCARD', set) <= each then return end
  redis.call('ZREMRANGEBYSCORE', set, '-inf', now - ttl_ms / 1000)
  local over = math.min(redis.call('ZCARD', set) - each, 100)
  for _, oldest in ipairs(redis.call('ZRANGE', set, 0, over - 1)) do
    redis.call('DEL', oldest)
    redis.call('ZREM', set, oldest)
  end
end

local operations = {}

-- -> 'none', or 'damaged' and why, or 'found', '' and the fields
function operations.load(longest)
  if is_missing() then return {'none'} end
  local damage = damage_of(tonumber(longest))
  if damage then return {'damaged', damage} end
  return found()
end

-- `begin` is 1 to begin a session where there is none -> as `load`; what was damaged has been
-- replaced by a new session
function operations.connect(longest, epoch, now, ttl_ms, each, begin)
  local missing, damage = is_missing(), nil
  if missing and begin == '0' then return {'none'} end
  if not missing then damage = damage_of(tonumber(longest)) end
  if missing or damage then
    redis.call('DEL', key)
    redis.call('HSET', key, 'step', 0, 'state', '', 'reply', '', 'created', now)
  end
  redis.call('HSET', key, 'epoch', epoch, 'updated', now)
  redis.call('PEXPIRE', key, ttl_ms)
  index(tonumber(now), tonumber(ttl_ms), tonumber(each))
  return found(damage)
end

-- `known_epoch` and `known` are what the writer believes to be there -> the outcome
function operations.commit(
  known_epoch, known, epoch, step, state, reply, seal, now, ttl_ms, each
)
  if kind_of(key) ~= 'hash' then
    redis.call('DEL', key)
    if tonumber(known) > 0 then return 'missing' end
    redis.call('HSET', key, 'created', now)
  else
    local there = redis.call('HMGET', key, 'epoch', 'step')
    local at, to = tonumber(there[2] or '') or -1, tonumber(step)
    if not (there[1] == epoch and at == to)
      and not (there[1] == known_epoch and tonumber(known) <= at and at < to) then
      return 'conflict'
    end
  end
  redis.call('HSET', key, 'epoch', epoch, 'step', step, 'state', state, 'reply', reply,
             'seal', seal, 'updated', now)
  redis.call('PEXPIRE', key, ttl_ms)
  index(tonumber(now), tonumber(ttl_ms), tonumber(each))
  return 'stored'
end

-- -> 1 where there was a session
function operations.delete()
  if is_missing() then return 0 end
  redis.call('DEL', key)
  redis.call('HSET', key, 'ended', 1)
  redis.call('PEXPIRE', key, 60000)
  if kind_of(set) == 'zset' then redis.call('ZREM', set, key) end
  return 1
end

return operations[ARGV[1]](unpack(ARGV, 2))
