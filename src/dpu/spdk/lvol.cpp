#include "dpu/spdk/lvol.hpp"

#include <charconv>

#include "core/json.hpp"
#include "core/text.hpp"

namespace vnvme::dpu::spdk {
namespace {

constexpr JsonLimits kSmall{.bytes = 64u << 10, .depth = 16, .values = 512, .string_bytes = 4096};

// "size" in bytes, or "size_in_mib": one version refuses the other's key, so exactly one is ever sent.
void put_size(const Dialect& dialect, Params& params, Bytes size) {
  if (dialect.size_in_mib)
    params["size_in_mib"] = round_up(size, MiB(1)).value >> 20;
  else
    params["size"] = size.value;
}

Result<Pool> decode_lvstore(std::string_view text) {
  auto json = parse_json(text, kSmall);
  if (!json) return fail(std::move(json.error()));
  auto id = text_of(*json, "uuid");
  auto uuid = id ? parse_uuid(*id) : std::nullopt;
  auto name = text_of(*json, "name"), base = text_of(*json, "base_bdev");
  auto total = number_of(*json, "total_data_clusters"), free = number_of(*json, "free_clusters");
  auto cluster = number_of(*json, "cluster_size");
  if (!uuid || !name || !base || !total || !free || !cluster || *cluster == 0)
    return fail(Errc::protocol, "an lvol store without uuid, name, base or sizes");
  if (*total > kMaxBytes.value / *cluster || *free > *total)
    return fail(Errc::protocol, "lvol store \"" + *name + "\" has impossible sizes");
  return Pool{PoolId(*uuid),           *name,          *base, Bytes{*total * *cluster},
              Bytes{*free * *cluster}, Bytes{*cluster}};
}

// The values of one record of bdev_lvol_get_lvols, as they are written. There may be ten thousand of them in
// one list, so they are cut out of the text and not built into a tree first.
struct LvolText {
  std::string_view uuid, name, store, thin, snapshot, clusters;
};

Result<LvolText> cut_lvol(std::string_view text) {
  LvolText cut;
  std::string_view store;
  auto done =
      rpc::each_member(text, [&cut, &store](std::string_view key, std::string_view value) -> Result<void> {
        if (key == "uuid") cut.uuid = value;
        if (key == "name") cut.name = value;
        if (key == "lvs") store = value;
        if (key == "is_thin_provisioned") cut.thin = value;
        if (key == "is_snapshot") cut.snapshot = value;
        if (key == "num_allocated_clusters") cut.clusters = value;
        return {};
      });
  if (!done) return fail(std::move(done.error()));
  if (store.empty()) return cut;
  done = rpc::each_member(store, [&cut](std::string_view key, std::string_view value) -> Result<void> {
    if (key == "uuid") cut.store = value;
    return {};
  });
  if (!done) return fail(std::move(done.error()));
  return cut;
}

// Only a string with escapes, or one that is not UTF-8, needs the parser.
std::optional<std::string> string_in(std::string_view raw) {
  if (raw.size() < 2 || raw.size() > kSmall.string_bytes || raw.front() != '"') return std::nullopt;
  auto inner = raw.substr(1, raw.size() - 2);
  if (inner.find('\\') == std::string_view::npos && is_utf8(inner)) return std::string(inner);
  auto json = parse_json(raw, kSmall);
  return json && json->is_string() ? std::optional(json->get<std::string>()) : std::nullopt;
}

std::optional<bool> flag_in(std::string_view raw) {
  if (raw == "true" || raw == "\"true\"") return true;
  if (raw == "false" || raw == "\"false\"") return false;
  return std::nullopt;
}

std::optional<std::uint64_t> number_in(std::string_view raw) {
  std::uint64_t n = 0;
  auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), n);
  return error == std::errc{} && end == raw.data() + raw.size() ? std::optional(n) : std::nullopt;
}

Result<DpuVolume> decode_lvol_name(std::string_view text, Bytes cluster) {
  if (text.size() > kSmall.bytes) return fail(Errc::protocol, "an lvol of more than 64 KiB of text");
  auto cut = cut_lvol(text);
  if (!cut) return fail(std::move(cut.error()));
  auto id = string_in(cut->uuid), pool = string_in(cut->store), name = string_in(cut->name);
  auto uuid = id ? parse_uuid(*id) : std::nullopt;
  auto pool_uuid = pool ? parse_uuid(*pool) : std::nullopt;
  auto snapshot = flag_in(cut->snapshot);
  if (!uuid || !name || !pool_uuid || !snapshot)
    return fail(Errc::protocol, "an lvol without uuid, name or store");
  DpuVolume volume;
  volume.id = DpuVolumeId(std::move(*uuid));
  volume.name = std::move(*name);
  volume.pool = PoolId(std::move(*pool_uuid));
  volume.thin = flag_in(cut->thin).value_or(false);
  volume.snapshot = *snapshot;
  if (auto clusters = number_in(cut->clusters); clusters && cluster.value != 0) {
    if (*clusters > kMaxBytes.value / cluster.value)
      return fail(Errc::protocol, "lvol " + volume.id.value + " has an impossible allocation");
    volume.allocated = Bytes{*clusters * cluster.value};
  }
  return volume;
}

// The uuid that a create answered. The volume exists by now: an unreadable answer leaves its id unknown.
Result<std::string> decode_uuid(std::string_view result) {
  auto json = parse_json(result, kSmall);
  auto uuid = json && json->is_string() ? parse_uuid(json->get_ref<const std::string&>()) : std::nullopt;
  if (!uuid) return fail(Errc::protocol, "a uuid was expected, not " + printable(result, 64));
  return *uuid;
}

Task<Result<std::string>> create(Target& target, Step step, Keep lane, Deadline deadline) {
  auto answer = co_await target.change(step, std::move(lane), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto uuid = decode_uuid(answer->result());
  if (!uuid) co_return fail(target.unreadable(step, std::move(uuid.error()), Outcome::unknown));
  co_return uuid;
}

Task<Result<DpuVolumeId>> create_volume_by(Target& target, Step step, Keep lane, Deadline deadline) {
  auto uuid = co_await create(target, std::move(step), std::move(lane), deadline);
  if (!uuid) co_return fail(std::move(uuid.error()));
  co_return DpuVolumeId(std::move(*uuid));
}

}  // namespace

Result<void> check_lvol_name(std::string_view name) {
  if (name.empty() || name.size() > kLvolNameBytes)
    return fail(Errc::invalid_argument,
                "a volume's name on the DPU has 1 to 63 bytes, not " + std::to_string(name.size()));
  if (!is_utf8(name)) return fail(Errc::invalid_argument, "a volume's name on the DPU must be UTF-8");
  for (char c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      return fail(Errc::invalid_argument, "a volume's name on the DPU must not have control characters");
  return {};
}

Result<std::vector<Pool>> decode_lvstores(std::string_view result) {
  std::vector<Pool> pools;
  auto done = rpc::each_element(result, [&pools](std::string_view text) -> Result<void> {
    auto pool = decode_lvstore(text);
    if (!pool) return fail(std::move(pool.error()));
    pools.push_back(std::move(*pool));
    return {};
  });
  if (!done) return fail(std::move(done.error()));
  return pools;
}

Result<std::vector<DpuVolume>> decode_lvols(std::string_view result, Bytes cluster) {
  std::vector<DpuVolume> volumes;
  auto done = rpc::each_element(result, [&volumes, cluster](std::string_view text) -> Result<void> {
    auto volume = decode_lvol_name(text, cluster);
    if (!volume) return fail(std::move(volume.error()));
    volumes.push_back(std::move(*volume));
    return {};
  });
  if (!done) return fail(std::move(done.error()));
  return volumes;
}

Result<DpuVolume> volume_of(const Bdev& bdev, const Pool& pool) {
  if (!bdev.lvol) return fail(Errc::not_found, "\"" + bdev.name + "\" is no lvol");
  DpuVolume v;
  v.id = DpuVolumeId(bdev.name);
  v.pool = bdev.lvol->store;
  // The only place where the name stands is the alias "store/name", and both may hold a "/".
  auto prefix = pool.name + "/";
  // A name may even be empty: bdev_lvol_rename lets that pass, and such a volume must not hide the others.
  bool named = false;
  for (const auto& alias : bdev.aliases) {
    if (!alias.starts_with(prefix)) continue;
    v.name = alias.substr(prefix.size());
    named = true;
  }
  if (!named)
    return fail(Errc::protocol, "lvol " + bdev.name + " has no alias in store \"" + pool.name + "\"");
  v.size = bdev.size;
  if (bdev.lvol->allocated_clusters) {
    auto clusters = *bdev.lvol->allocated_clusters;
    if (pool.cluster.value == 0 || clusters > kMaxBytes.value / pool.cluster.value)
      return fail(Errc::protocol, "lvol " + bdev.name + " has an impossible allocation");
    v.allocated = Bytes{clusters * pool.cluster.value};
  }
  v.thin = bdev.lvol->thin;
  v.snapshot = bdev.lvol->snapshot;
  v.read_only = bdev.lvol->snapshot || !bdev.writable;
  v.parent = bdev.lvol->base_snapshot;
  v.children = bdev.lvol->clones;
  return v;
}

Task<Result<std::vector<Pool>>> get_lvstores(Target& target, Deadline deadline) {
  Step step{.method = "bdev_lvol_get_lvstores"};
  auto answer = co_await target.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto pools = decode_lvstores(answer->result());
  if (!pools) co_return fail(target.unreadable(step, std::move(pools.error()), Outcome::not_done));
  co_return pools;
}

Task<Result<PoolId>> create_lvstore(Target& target, CreatePool want, Keep lane, Deadline deadline) {
  Params params = {{"bdev_name", want.drive}, {"lvs_name", want.name}};
  if (want.cluster.value != 0) params["cluster_sz"] = want.cluster.value;
  Step step{.method = "bdev_lvol_create_lvstore",
            .params = std::move(params),
            .object = want.name,
            .cap = kLongCall};
  auto uuid = co_await create(target, std::move(step), std::move(lane), deadline);
  if (!uuid) co_return fail(std::move(uuid.error()));
  co_return PoolId(std::move(*uuid));
}

Task<Result<void>> delete_lvstore(Target& target, PoolId pool, Keep lane, Deadline deadline) {
  Step step{.method = "bdev_lvol_delete_lvstore",
            .params = {{"uuid", pool.str()}},
            .object = pool.str(),
            .cap = kLongCall};
  co_return co_await target.change_true(std::move(step), std::move(lane), deadline);
}

Task<Result<std::vector<DpuVolume>>> get_lvols(Target& target, std::string store_name, Bytes cluster,
                                               Deadline deadline) {
  Step step{.method = "bdev_lvol_get_lvols", .object = store_name, .cap = kListCall};
  if (!store_name.empty()) step.params = {{"lvs_name", store_name}};
  auto answer = co_await target.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto volumes = decode_lvols(answer->result(), cluster);
  if (!volumes) co_return fail(target.unreadable(step, std::move(volumes.error()), Outcome::not_done));
  co_return volumes;
}

Task<Result<DpuVolumeId>> create_lvol(Target& target, CreateVolume want, std::string clear_method, Keep lane,
                                      Deadline deadline) {
  // "uuid" is the store's: an lvol's own cannot be chosen.
  Params params = {{"uuid", want.pool.str()}, {"lvol_name", want.name}, {"thin_provision", want.thin}};
  put_size(target.dialect(), params, want.size);
  // Decides what happens to the clusters when this volume is deleted one day.
  if (!clear_method.empty()) params["clear_method"] = clear_method;
  Step step{.method = "bdev_lvol_create", .params = std::move(params), .object = want.name};
  co_return co_await create_volume_by(target, std::move(step), std::move(lane), deadline);
}

Task<Result<DpuVolumeId>> snapshot_lvol(Target& target, DpuVolumeId source, std::string name, Keep lane,
                                        Deadline deadline) {
  Step step{.method = "bdev_lvol_snapshot",
            .params = {{"lvol_name", source.str()}, {"snapshot_name", name}},
            .object = name};
  co_return co_await create_volume_by(target, std::move(step), std::move(lane), deadline);
}

Task<Result<DpuVolumeId>> clone_lvol(Target& target, DpuVolumeId snapshot, std::string name, Keep lane,
                                     Deadline deadline) {
  Step step{.method = "bdev_lvol_clone",
            .params = {{"snapshot_name", snapshot.str()}, {"clone_name", name}},
            .object = name};
  co_return co_await create_volume_by(target, std::move(step), std::move(lane), deadline);
}

Task<Result<void>> resize_lvol(Target& target, DpuVolumeId id, Bytes size, Keep lane, Deadline deadline) {
  Params params = {{"name", id.str()}};
  put_size(target.dialect(), params, size);
  // A shrink answers when what it cut off is cleared.
  Step step{.method = "bdev_lvol_resize", .params = std::move(params), .object = id.str(), .cap = kLongCall};
  co_return co_await target.change_true(std::move(step), std::move(lane), deadline);
}

Task<Result<void>> rename_lvol(Target& target, DpuVolumeId id, std::string name, Keep lane,
                               Deadline deadline) {
  Step step{.method = "bdev_lvol_rename",
            .params = {{"old_name", id.str()}, {"new_name", name}},
            .object = id.str()};
  co_return co_await target.change_true(std::move(step), std::move(lane), deadline);
}

Task<Result<void>> simple_lvol(Target& target, std::string method, DpuVolumeId id, Keep lane,
                               Deadline deadline) {
  // Inflate, decouple and the delete of a big volume answer only when the work is done.
  Step step{
      .method = std::move(method), .params = {{"name", id.str()}}, .object = id.str(), .cap = kLongCall};
  co_return co_await target.change_true(std::move(step), std::move(lane), deadline);
}

}  // namespace vnvme::dpu::spdk
