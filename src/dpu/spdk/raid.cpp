#include "dpu/spdk/raid.hpp"

#include <algorithm>

#include "core/json.hpp"

namespace vnvme::dpu::spdk {
namespace {

std::string base_name(const Json& base) {
  if (base.is_string()) return base.get<std::string>();
  return text_of(base, "name").value_or("");
}

Result<Raid> decode_raid(std::string_view text) {
  // A Kalray card lists names only.
  if (text.starts_with('"')) {
    auto name = parse_json(text, {.bytes = 4096, .depth = 1, .values = 1, .string_bytes = 4096});
    if (!name || !name->is_string()) return fail(Errc::protocol, "a RAID whose name cannot be read");
    Raid raid;
    raid.name = name->get<std::string>();
    return raid;
  }
  auto json = parse_json(text, {.bytes = 256u << 10, .depth = 16, .values = 8192, .string_bytes = 4096});
  if (!json) return fail(std::move(json.error()));
  Raid raid;
  auto name = text_of(*json, "name"), state = text_of(*json, "state");
  const Json* bases = member(*json, "base_bdevs_list");
  if (!name || !state || bases == nullptr || !bases->is_array())
    return fail(Errc::protocol, "a RAID without name, state or members");
  raid.name = *name;
  raid.state = *state;
  raid.level = text_of(*json, "raid_level").value_or("");
  for (const auto& base : *bases) raid.drives.push_back(base_name(base));
  auto count = [](std::uint64_t n) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, UINT32_MAX));
  };
  raid.members = count(number_of(*json, "num_base_bdevs").value_or(raid.drives.size()));
  raid.working = count(number_of(*json, "num_base_bdevs_discovered").value_or(0));
  if (const Json* process = member(*json, "process"); process != nullptr)
    if (const Json* progress = member(*process, "progress"); progress != nullptr)
      if (const Json* percent = member(*progress, "percent"); percent != nullptr && percent->is_number())
        raid.rebuild_percent = percent->get<double>();
  return raid;
}

}  // namespace

Result<std::vector<Raid>> decode_raids(std::string_view result) {
  std::vector<Raid> raids;
  auto done = rpc::each_element(result, [&raids](std::string_view text) -> Result<void> {
    auto raid = decode_raid(text);
    if (!raid) return fail(std::move(raid.error()));
    raids.push_back(std::move(*raid));
    return {};
  });
  if (!done) return fail(std::move(done.error()));
  return raids;
}

namespace {

Task<Result<std::vector<Raid>>> get_category(Target& target, std::string category, Deadline deadline) {
  Step step{.method = "bdev_raid_get_bdevs", .params = {{"category", category}}};
  auto answer = co_await target.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto raids = decode_raids(answer->result());
  if (!raids) co_return fail(target.unreadable(step, std::move(raids.error()), Outcome::not_done));
  co_return raids;
}

}  // namespace

Task<Result<std::vector<Raid>>> get_raids(Target& target, Deadline deadline) {
  if (!target.dialect().has("bdev_raid_get_bdevs")) co_return std::vector<Raid>();
  auto raids = co_await get_category(target, "all", deadline);
  if (!raids) co_return fail(std::move(raids.error()));
  auto nameless_state = [](const Raid& r) { return r.state.empty(); };
  if (std::none_of(raids->begin(), raids->end(), nameless_state)) co_return raids;
  // A list of names: which of them work is a second list.
  auto online = co_await get_category(target, "online", deadline);
  if (!online) co_return fail(std::move(online.error()));
  for (auto& raid : *raids) {
    bool works =
        std::any_of(online->begin(), online->end(), [&raid](const Raid& o) { return o.name == raid.name; });
    raid.state = works ? "online" : "configuring";
  }
  co_return raids;
}

Task<Result<void>> create_raid(Target& target, CreateRaid want, Keep lane, Deadline deadline) {
  Params params = {{"name", want.name}, {"raid_level", want.level}, {"base_bdevs", want.drives}};
  if (want.strip_kib != 0) params["strip_size_kb"] = want.strip_kib;
  if (target.quirks().raid_persists) {
    params["persist"] = true;
    params["split_dp"] = true;
  }
  Step step{.method = "bdev_raid_create", .params = std::move(params), .object = want.name};
  co_return co_await target.change_true(std::move(step), std::move(lane), deadline);
}

Task<Result<void>> delete_raid(Target& target, std::string name, Keep lane, Deadline deadline) {
  Step step{.method = "bdev_raid_delete", .params = {{"name", name}}, .object = name};
  co_return co_await target.change_true(std::move(step), std::move(lane), deadline);
}

}  // namespace vnvme::dpu::spdk
