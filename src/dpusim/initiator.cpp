#include "dpusim/initiator.hpp"

#include <cerrno>

#include "dpusim/nvmf.hpp"
#include "dpusim/target.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::sim {
namespace {

constexpr const char* kHostUuid = "73f42413-6bbd-4e41-9842-2f60e3f5fc21";

// The exported bdev, looked up anew at each access: it may be gone.
class RemoteDevice : public BlockDevice {
 public:
  RemoteDevice(Target& target, std::string bdev, std::uint64_t size)
      : target_(target), bdev_(std::move(bdev)), size_(size) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  int read(std::uint64_t offset, std::span<char> into) override {
    Bdev* b = target_.bdevs.find(bdev_);
    return b == nullptr ? EIO : target_.read(*b, offset, into);
  }
  int write(std::uint64_t offset, std::span<const char> from) override {
    Bdev* b = target_.bdevs.find(bdev_);
    return b == nullptr ? EIO : target_.write(*b, offset, from);
  }
  int zero(std::uint64_t offset, std::uint64_t length) override {
    Bdev* b = target_.bdevs.find(bdev_);
    return b == nullptr ? EIO : target_.zero(*b, offset, length);
  }
  int unmap(std::uint64_t offset, std::uint64_t length) override {
    Bdev* b = target_.bdevs.find(bdev_);
    return b == nullptr ? EIO : target_.unmap(*b, offset, length);
  }

 private:
  Target& target_;
  std::string bdev_;
  std::uint64_t size_;
};

}  // namespace

Json Initiator::trid(const Path& p) const {
  return {{"trtype", p.trtype},
          {"adrfam", p.adrfam},
          {"traddr", p.traddr},
          {"trsvcid", p.trsvcid},
          {"subnqn", p.nqn}};
}

std::string Initiator::add_drive(const std::string& controller, const Path& path, std::uint64_t nsid,
                                 Bdev& exported) {
  auto bdev = std::make_unique<Bdev>();
  auto [serial, model] = target_.nvmf->identity(path.nqn);
  bdev->kind = Kind::nvme;
  bdev->name = controller + "n" + std::to_string(nsid);
  bdev->uuid = exported.uuid;
  bdev->alias = exported.uuid;
  bdev->remote = true;
  bdev->block_size = exported.block_size;
  bdev->blocks = exported.blocks;
  Json data = {{"cntlid", path.cntlid},
               {"vendor_id", "0x8086"},
               {"model_number", model},
               {"serial_number", serial},
               {"firmware_revision", target_.profile.v26 ? "26.05" : "23.01"},
               {"subnqn", path.nqn},
               {"oacs", {{"security", 0}, {"format", 0}, {"firmware", 0}, {"ns_manage", 0}}},
               {"multi_ctrlr", true},
               {"ana_reporting", false}};
  Json one = {{"trid", trid(path)},
              {"ctrlr_data", std::move(data)},
              {"vs", {{"nvme_version", "2.0"}}},
              {"ns_data", {{"id", nsid}, {"can_share", true}}}};
  bdev->driver = {{"nvme", Json::array({std::move(one)})}, {"mp_policy", "active_passive"}};
  bdev->extra = {{"memory_domains", Json::array({Json{{"dma_device_type", "DMA"}}})}};
  bdev->owned = std::make_unique<RemoteDevice>(target_, exported.name, exported.bytes());
  bdev->device = bdev->owned.get();
  Bdev* made = target_.add_bdev(std::move(bdev));
  return made == nullptr ? "" : made->name;
}

Reply Initiator::attach(const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text, true},
                                    {"trtype", Type::text, true},
                                    {"traddr", Type::text, true},
                                    {"adrfam", Type::text},
                                    {"trsvcid", Type::text},
                                    {"subnqn", Type::text},
                                    {"hostnqn", Type::text},
                                    {"multipath", Type::text},
                                    {"num_io_queues", Type::number},
                                    {"ctrlr_loss_timeout_sec", Type::integer},
                                    {"reconnect_delay_sec", Type::number},
                                    {"fast_io_fail_timeout_sec", Type::number},
                                    {"prchk_reftag", Type::boolean},
                                    {"prchk_guard", Type::boolean},
                                    {"hdgst", Type::boolean},
                                    {"ddgst", Type::boolean}});
  if (!args) return refuse_decode();
  if (*args->text("trtype") != "TCP")
    return refuse_errno(ENODEV);  // no such transport, or no such drive on the bus
  auto name = *args->text("name");
  Path path{"TCP",
            args->text_or("adrfam", "IPv4"),
            *args->text("traddr"),
            args->text_or("trsvcid", ""),
            args->text_or("subnqn", ""),
            0,
            {}};
  auto known = controllers_.find(name);
  if (known != controllers_.end() && trid(known->second) == trid(path))
    return refuse(-EALREADY,
                  "A controller named " + name + " already exists with the specified network path");
  auto exported = target_.nvmf->reachable(path.nqn, path.traddr, path.trsvcid);
  if (!exported) return target_.profile.v26 ? Reply(refuse_errno(EIO)) : Reply(refuse_errno(ENODEV));
  path.cntlid = next_cntlid_++;
  Json names = Json::array();
  for (const auto& [nsid, bdev_name] : *exported) {
    Bdev* bdev = target_.bdevs.find(bdev_name);
    auto made = bdev == nullptr ? std::string() : add_drive(name, path, nsid, *bdev);
    if (made.empty()) continue;
    path.bdevs[nsid] = made;
    names.push_back(made);
  }
  controllers_[name] = std::move(path);
  return names;
}

Reply Initiator::list(const Json* params) const {
  auto args = Args::decode(params, {{"name", Type::text}});
  if (!args) return refuse_decode();
  Json out = Json::array();
  auto only = args->text("name");
  for (const auto& [name, p] : controllers_) {
    if (only && *only != name) continue;
    Json host = {
        {"nqn", "nqn.2014-08.org.nvmexpress:uuid:" + std::string(kHostUuid)}, {"addr", ""}, {"svcid", ""}};
    if (target_.profile.v26) host["no_shn_notification"] = false;
    Json one = {{"state", "enabled"}, {"trid", trid(p)}, {"cntlid", p.cntlid}, {"host", std::move(host)}};
    out.push_back({{"name", name}, {"ctrlrs", Json::array({std::move(one)})}});
  }
  if (only && out.empty())
    return refuse(target_.profile.v26 ? -EINVAL : EINVAL, "Controller " + *only + " does not exist");
  return out;
}

Reply Initiator::detach(const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text, true},
                                    {"trtype", Type::text},
                                    {"traddr", Type::text},
                                    {"adrfam", Type::text},
                                    {"trsvcid", Type::text},
                                    {"subnqn", Type::text}});
  if (!args) return refuse_decode();
  auto it = controllers_.find(*args->text("name"));
  if (it == controllers_.end()) return refuse_errno(ENODEV);
  auto gone = std::move(it->second);
  controllers_.erase(it);
  for (const auto& [nsid, name] : gone.bdevs)
    if (Bdev* bdev = target_.bdevs.find(name); bdev != nullptr) target_.remove_bdev(*bdev);
  return true;
}

void Initiator::namespace_gone(const std::string& nqn, std::uint64_t nsid) {
  for (auto& [name, path] : controllers_) {
    auto it = path.bdevs.find(nsid);
    if (path.nqn != nqn || it == path.bdevs.end()) continue;
    Bdev* bdev = target_.bdevs.find(it->second);
    path.bdevs.erase(it);
    if (bdev != nullptr) target_.remove_bdev(*bdev);
  }
}

void Initiator::subsystem_gone(const std::string& nqn) {
  std::erase_if(controllers_, [&nqn](const auto& c) { return c.second.nqn == nqn; });
}

Json Initiator::controllers_of(const std::string& nqn) const {
  Json out = Json::array();
  for (const auto& [name, p] : controllers_)
    if (p.nqn == nqn)
      out.push_back({{"cntlid", p.cntlid},
                     {"cntrltype", "io"},
                     {"hostnqn", "nqn.2014-08.org.nvmexpress:uuid:" + std::string(kHostUuid)},
                     {"hostid", kHostUuid},
                     {"num_io_qpairs", 1}});
  return out;
}

Json Initiator::qpairs_of(const std::string& nqn) const {
  Json out = Json::array();
  for (const auto& [name, p] : controllers_) {
    if (p.nqn != nqn) continue;
    Json listen = {{"trtype", p.trtype}, {"adrfam", p.adrfam}, {"traddr", p.traddr}, {"trsvcid", p.trsvcid}};
    Json peer = listen;
    peer["trsvcid"] = "0";  // nothing goes through a socket, so there is no port
    out.push_back({{"cntlid", p.cntlid},
                   {"qid", 0},
                   {"state", "enabled"},
                   {"thread", "nvmf_tgt_poll_group_000"},
                   {"hostnqn", "nqn.2014-08.org.nvmexpress:uuid:" + std::string(kHostUuid)},
                   {"listen_address", std::move(listen)},
                   {"peer_address", std::move(peer)}});
  }
  return out;
}

void Initiator::add_methods() {
  target_.on_sync("bdev_nvme_attach_controller", [this](const Json* p) { return attach(p); });
  target_.on_sync("bdev_nvme_get_controllers", [this](const Json* p) { return list(p); });
  target_.on_sync("bdev_nvme_detach_controller", [this](const Json* p) { return detach(p); });
  target_.on_sync("bdev_nvme_set_options", [this](const Json* p) -> Reply {
    auto args = Args::decode(p, {{"bdev_retry_count", Type::integer},
                                 {"timeout_us", Type::number},
                                 {"ctrlr_loss_timeout_sec", Type::integer}});
    if (!args) return refuse_decode();
    if (!controllers_.empty())
      return refuse(-EPERM, "RPC not permitted with nvme controllers already attached");
    return true;
  });
}

}  // namespace vnvme::sim
