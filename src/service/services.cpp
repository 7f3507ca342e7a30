#include "service/services.hpp"

#include <nlohmann/json.hpp>

#include "core/log.hpp"

namespace vnvme::service {

Services::Services(Ports ports, Options options)
    : core_(std::move(ports), std::move(options)),
      sr_(core_),
      volume_(core_),
      lineage_(core_),
      datapath_(core_),
      housekeeper_(core_, datapath_),
      trash_(core_),
      toolstack_(core_),
      spares_(core_),
      publisher_(core_, toolstack_),
      messenger_(core_),
      admin_(core_, trash_) {}

Task<Result<void>> Services::start() {
  auto loaded = co_await core_.load();
  if (!loaded) co_return loaded;
  if (core_.fresh_store)
    core_.event(
        "info", "store",
        "the store is new: SRs that exist already are rebuilt from their PBDs when they are attached");
  std::set<DpuId> dpus;
  for (const auto& [name, uri] : core_.options.dpu_names) dpus.insert(uri);
  for (const auto& [id, sr] : core_.world.srs()) dpus.insert(sr.dpu);
  for (const DpuId& dpu : dpus) {
    auto link = core_.link(dpu);
    if (!link)
      core_.event("error", "dpu " + dpu.value, "DPU " + dpu.value + " cannot be used: " + link.error().text);
  }
  core_.spawn([this]() -> Task<void> { co_await housekeeper_.run(); });
  core_.spawn([this]() -> Task<void> { co_await trash_.run(); });
  core_.spawn([this]() -> Task<void> { co_await toolstack_.run(); });
  core_.spawn([this]() -> Task<void> { co_await spares_.run(); });
  core_.spawn([this]() -> Task<void> { co_await publisher_.run(); });
  core_.spawn([this]() -> Task<void> { co_await messenger_.run(); });
  co_return Result<void>{};
}

std::optional<std::string> Services::recall(const RequestId& id) {
  const RequestRecord* known = core_.world.request(id);
  return known == nullptr ? std::nullopt : std::optional(known->answer);
}
Task<Result<void>> Services::printing(smapi::Context c, std::string answer) {
  return volume_.printing(std::move(c), std::move(answer));
}
void Services::abandoned(const RequestId& id) {
  volume_.abandoned(id);
}

Task<Result<std::vector<smapi::Probe>>> Services::sr_probe(smapi::Context c, smapi::Strings configuration) {
  return sr_.probe(std::move(c), std::move(configuration));
}
Task<Result<smapi::Strings>> Services::sr_create(smapi::Context c, SrId id, smapi::Strings configuration,
                                                 std::string name, std::string description) {
  return sr_.create(std::move(c), std::move(id), std::move(configuration), std::move(name),
                    std::move(description));
}
Task<Result<SrId>> Services::sr_attach(smapi::Context c, smapi::Strings configuration) {
  return sr_.attach(std::move(c), std::move(configuration));
}
Task<Result<void>> Services::sr_detach(smapi::Context c, SrId id) {
  return sr_.detach(std::move(c), std::move(id));
}
Task<Result<void>> Services::sr_destroy(smapi::Context c, SrId id) {
  return sr_.destroy(std::move(c), std::move(id));
}
Task<Result<smapi::SrStat>> Services::sr_stat(smapi::Context c, SrId id) {
  return sr_.stat(std::move(c), std::move(id));
}
Task<Result<std::vector<smapi::Volume>>> Services::sr_ls(smapi::Context c, SrId id) {
  return sr_.ls(std::move(c), std::move(id));
}
Task<Result<void>> Services::sr_set_name(smapi::Context c, SrId id, std::string name) {
  return sr_.set_name(std::move(c), std::move(id), std::move(name));
}
Task<Result<void>> Services::sr_set_description(smapi::Context c, SrId id, std::string text) {
  return sr_.set_description(std::move(c), std::move(id), std::move(text));
}

Task<Result<smapi::Volume>> Services::volume_create(smapi::Context c, SrId sr, std::string name,
                                                    std::string description, Bytes size, bool sharable) {
  return volume_.create(std::move(c), std::move(sr), std::move(name), std::move(description), size, sharable);
}
Task<Result<smapi::Volume>> Services::volume_snapshot(smapi::Context c, SrId sr, VolumeId id) {
  return lineage_.snapshot(std::move(c), std::move(sr), std::move(id));
}
Task<Result<smapi::Volume>> Services::volume_clone(smapi::Context c, SrId sr, VolumeId id) {
  return lineage_.clone(std::move(c), std::move(sr), std::move(id));
}
Task<Result<void>> Services::volume_destroy(smapi::Context c, SrId sr, VolumeId id) {
  return volume_.destroy(std::move(c), std::move(sr), std::move(id));
}
Task<Result<smapi::Volume>> Services::volume_stat(smapi::Context c, SrId sr, VolumeId id) {
  return volume_.stat(std::move(c), std::move(sr), std::move(id));
}
Task<Result<void>> Services::volume_set_name(smapi::Context c, SrId sr, VolumeId id, std::string name) {
  return volume_.set_name(std::move(c), std::move(sr), std::move(id), std::move(name));
}
Task<Result<void>> Services::volume_set_description(smapi::Context c, SrId sr, VolumeId id,
                                                    std::string text) {
  return volume_.set_description(std::move(c), std::move(sr), std::move(id), std::move(text));
}
Task<Result<void>> Services::volume_set(smapi::Context c, SrId sr, VolumeId id, std::string key,
                                        std::string value) {
  return volume_.set(std::move(c), std::move(sr), std::move(id), std::move(key), std::move(value));
}
Task<Result<void>> Services::volume_unset(smapi::Context c, SrId sr, VolumeId id, std::string key) {
  return volume_.unset(std::move(c), std::move(sr), std::move(id), std::move(key));
}
Task<Result<void>> Services::volume_resize(smapi::Context c, SrId sr, VolumeId id, Bytes size) {
  return volume_.resize(std::move(c), std::move(sr), std::move(id), size);
}
Task<Result<void>> Services::volume_revert(smapi::Context c, SrId sr, VolumeId snapshot, VolumeId id) {
  return lineage_.revert(std::move(c), std::move(sr), std::move(snapshot), std::move(id));
}

Task<Result<smapi::Backend>> Services::datapath_attach(smapi::Context c, std::string uri,
                                                       std::string domain) {
  return datapath_.attach(std::move(c), std::move(uri), std::move(domain));
}
Task<Result<void>> Services::datapath_activate(smapi::Context c, std::string uri, std::string domain,
                                               bool read_only) {
  return datapath_.activate(std::move(c), std::move(uri), std::move(domain), read_only);
}
Task<Result<void>> Services::datapath_deactivate(smapi::Context c, std::string uri, std::string domain) {
  return datapath_.release(std::move(c), std::move(uri), std::move(domain));
}
Task<Result<void>> Services::datapath_detach(smapi::Context c, std::string uri, std::string domain) {
  return datapath_.release(std::move(c), std::move(uri), std::move(domain));
}

Task<Result<nlohmann::json>> Services::admin(std::string verb, nlohmann::json args, Deadline deadline) {
  return admin_.call(std::move(verb), std::move(args), deadline);
}

}  // namespace vnvme::service
