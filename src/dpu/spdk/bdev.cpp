#include "dpu/spdk/bdev.hpp"

#include "core/json.hpp"
#include "dpu/spdk/errors.hpp"

namespace vnvme::dpu::spdk {
namespace {

// One record: a snapshot names all its clones, 63 bytes each, so a record may be long.
constexpr JsonLimits kRecord{.bytes = 16u << 20, .depth = 32, .values = 1u << 18, .string_bytes = 64u << 10};

Result<LvolInfo> decode_lvol(const Json& lvol) {
  LvolInfo info;
  auto store = text_of(lvol, "lvol_store_uuid");
  if (!store || !parse_uuid(*store)) return fail(Errc::protocol, "an lvol without the uuid of its store");
  info.store = PoolId(*parse_uuid(*store));
  auto snapshot = flag_of(lvol, "snapshot");
  if (!snapshot) return fail(Errc::protocol, "an lvol that does not say whether it is a snapshot");
  info.snapshot = *snapshot;
  info.thin = flag_of(lvol, "thin_provision").value_or(false);
  info.allocated_clusters = number_of(lvol, "num_allocated_clusters");
  info.base_snapshot = text_of(lvol, "base_snapshot").value_or("");
  if (const Json* clones = member(lvol, "clones"); clones != nullptr && clones->is_array())
    for (const auto& clone : *clones)
      if (clone.is_string()) info.clones.push_back(clone.get<std::string>());
  return info;
}

void decode_nvme(const Json& specific, Bdev& bdev) {
  const Json* nvme = member(specific, "nvme");
  if (nvme == nullptr) return;
  const Json* first = nvme->is_array() && !nvme->empty() ? &nvme->front() : nvme;
  if (const Json* data = member(*first, "ctrlr_data"); data != nullptr) {
    bdev.model = text_of(*data, "model_number").value_or("");
    bdev.serial = text_of(*data, "serial_number").value_or("");
  }
}

void decode_optional(const Json& json, Bdev& bdev) {
  bdev.claimed = flag_of(json, "claimed").value_or(false);
  if (const Json* aliases = member(json, "aliases"); aliases != nullptr && aliases->is_array())
    for (const auto& alias : *aliases)
      if (alias.is_string()) bdev.aliases.push_back(alias.get<std::string>());
  if (const Json* types = member(json, "supported_io_types"); types != nullptr)
    bdev.writable = flag_of(*types, "write").value_or(true);
  if (const Json* limits = member(json, "assigned_rate_limits"); limits != nullptr) {
    bdev.rw_ios_per_sec = number_of(*limits, "rw_ios_per_sec").value_or(0);
    bdev.rw_mbytes_per_sec = number_of(*limits, "rw_mbytes_per_sec").value_or(0);
  }
}

}  // namespace

Result<Bdev> decode_bdev(std::string_view text) {
  auto json = parse_json(text, kRecord);
  if (!json) return fail(std::move(json.error()));
  Bdev bdev;
  auto name = text_of(*json, "name");
  auto blocks = number_of(*json, "num_blocks");
  auto block = number_of(*json, "block_size");
  if (!name || name->empty() || !blocks || !block) return fail(Errc::protocol, "a bdev without name or size");
  if (*block == 0 || *block > (1u << 20) || *blocks > kMaxBytes.value / *block)
    return fail(Errc::protocol, "bdev \"" + *name + "\" has an impossible size");
  bdev.name = *name;
  bdev.block_size = static_cast<std::uint32_t>(*block);
  bdev.size = Bytes{*blocks * *block};
  bdev.product = text_of(*json, "product_name").value_or("");
  decode_optional(*json, bdev);
  const Json* specific = member(*json, "driver_specific");
  const Json* lvol = specific != nullptr ? member(*specific, "lvol") : nullptr;
  if (lvol != nullptr) {
    auto info = decode_lvol(*lvol);
    if (!info) return fail(std::move(info.error()));
    bdev.lvol = std::move(*info);
    auto uuid = parse_uuid(bdev.name);
    if (!uuid) return fail(Errc::protocol, "an lvol whose name is no uuid");
    bdev.name = *uuid;
  } else if (bdev.product == "Logical Volume") {
    return fail(Errc::protocol, "lvol \"" + bdev.name + "\" without its lvol part");
  }
  if (specific != nullptr) decode_nvme(*specific, bdev);
  return bdev;
}

Result<void> decode_bdevs(std::string_view result, const std::function<Result<void>(Bdev)>& each) {
  return rpc::each_element(result, [&each](std::string_view element) -> Result<void> {
    auto bdev = decode_bdev(element);
    if (!bdev) return fail(std::move(bdev.error()));
    return each(std::move(*bdev));
  });
}

Task<Result<std::vector<Bdev>>> list_bdevs(Target& target, Deadline deadline) {
  Step step{.method = "bdev_get_bdevs", .cap = kListCall};
  auto answer = co_await target.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  std::vector<Bdev> all;
  auto decoded = decode_bdevs(answer->result(), [&all](Bdev bdev) -> Result<void> {
    all.push_back(std::move(bdev));
    return {};
  });
  if (!decoded) co_return fail(target.unreadable(step, std::move(decoded.error()), Outcome::not_done));
  co_return all;
}

Task<Result<std::optional<Bdev>>> find_bdev(Target& target, std::string name, Deadline deadline) {
  Step step{.method = "bdev_get_bdevs", .params = {{"name", name}}, .object = name};
  auto answer = co_await target.read(step, deadline);
  if (!answer && answer.error().code == Errc::not_found) co_return std::optional<Bdev>();
  if (!answer) co_return fail(std::move(answer.error()));
  std::optional<Bdev> found;
  std::size_t count = 0;
  auto decoded = decode_bdevs(answer->result(), [&found, &count](Bdev bdev) -> Result<void> {
    ++count;
    found = std::move(bdev);
    return {};
  });
  if (decoded && count != 1) decoded = fail(Errc::protocol, std::to_string(count) + " records for one name");
  if (!decoded) co_return fail(target.unreadable(step, std::move(decoded.error()), Outcome::not_done));
  co_return found;
}

Task<Result<void>> wait_for_examine(Target& target, Deadline deadline) {
  // Loading a store of 5,000 volumes after a crash takes 18 s and more: no cap of ours.
  Step step{.method = "bdev_wait_for_examine", .cap = kLongCall};
  auto answer = co_await target.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return Result<void>();
}

namespace {
Result<IoStat> decode_iostat(std::string_view text) {
  auto json = parse_json(text, kRecord);
  if (!json) return fail(std::move(json.error()));
  const Json* bdevs = member(*json, "bdevs");
  if (bdevs == nullptr || !bdevs->is_array() || bdevs->size() != 1)
    return fail(Errc::protocol, "not one record");
  const auto& one = bdevs->front();
  auto reads = number_of(one, "num_read_ops"), writes = number_of(one, "num_write_ops");
  auto read = number_of(one, "bytes_read"), written = number_of(one, "bytes_written");
  if (!reads || !writes || !read || !written) return fail(Errc::protocol, "a record without its counters");
  return IoStat{*reads, *writes, *read, *written};
}
}  // namespace

Task<Result<IoStat>> get_iostat(Target& target, std::string name, Deadline deadline) {
  Step step{.method = "bdev_get_iostat", .object = name};
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (target.dialect().iostat_names)
      step.params = {{"names", {name}}};
    else
      step.params = {{"name", name}};
    auto answer = co_await target.read(step, deadline);
    if (answer) {
      auto stat = decode_iostat(answer->result());
      if (!stat) co_return fail(target.unreadable(step, std::move(stat.error()), Outcome::not_done));
      co_return stat;
    }
    bool keys = answer.error().code == Errc::protocol && answer.error().native == -32603;
    if (!keys || attempt == 1) co_return fail(std::move(answer.error()));
    target.dialect().iostat_names = !target.dialect().iostat_names;
  }
  co_return fail(Errc::internal, "bdev_get_iostat: unreachable");
}

Task<Result<void>> set_qos_limit(Target& target, std::string name, std::uint64_t iops,
                                 std::uint64_t mib_per_s, Keep lane, Deadline deadline) {
  Step step{.method = "bdev_set_qos_limit",
            .params = {{"name", name},
                       {"rw_ios_per_sec", (iops + 999) / 1000 * 1000},
                       {"rw_mbytes_per_sec", mib_per_s}},
            .object = name};
  co_return co_await target.change_true(std::move(step), std::move(lane), deadline);
}

}  // namespace vnvme::dpu::spdk
