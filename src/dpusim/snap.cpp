// Functions and what the host sees of them.
#include "dpusim/snap.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "dpusim/target.hpp"

namespace vnvme::sim {
namespace {

constexpr const char* kCard = "MT2328XZ17DFNVMES";
constexpr const char* kHidden =
    "00:00.0";  // how the real one writes the address of a function that the host does not see
constexpr std::uint64_t kFirstVfVhca = 98, kFirstHotplugVhca = 3;

// Of a routing id: bus, device, function.
std::string address(unsigned id) {
  char text[16];
  std::snprintf(text, sizeof text, "%02x:%02x.%x", id >> 8, id >> 3 & 0x1f, id & 7);
  return text;
}

constexpr unsigned kBus = 0x26;
constexpr unsigned kPf = kBus << 8 | 2;
constexpr unsigned kFirstVf =
    kBus << 8 | 0x0c << 3;  // as SR-IOV counts on: into the next bus when one is full

}  // namespace

Snap::Snap(Target& target) : target_(target), sysfs_(target.settings.sysfs) {}

Result<void> Snap::start() {
  Function pf;
  pf.vuid = std::string(kCard) + "0D0F2";
  pf.bdf = address(kPf);
  pf.vhca = 2;
  functions_.push_back(pf);
  for (std::uint64_t i = 0; i < target_.settings.vfs; ++i) {
    Function vf;
    vf.vf = true;
    vf.vf_index = i;
    vf.vuid = pf.vuid + "VF" + std::to_string(i + 1);
    vf.bdf = address(kFirstVf + static_cast<unsigned>(i));
    vf.vhca = kFirstVfVhca + i;
    functions_.push_back(std::move(vf));
  }
  std::vector<std::string> plugged;
  auto text = read_file(target_.settings.state + "/functions.json");
  if (!text && text.error().code != Errc::not_found) return fail(text.error());
  auto known = text ? parse_json(*text) : Result<Json>(Json::array());
  if (!known || !known->is_array())
    return fail(Errc::internal, target_.settings.state + "/functions.json is not a list");
  for (const auto& record : *known) {
    Function f;
    f.hotplugged = true;
    f.vuid = text_of(record, "vuid").value_or("");
    f.bdf = text_of(record, "bdf").value_or(kHidden);
    f.plugged = f.bdf != kHidden;
    f.vhca = number_of(record, "vhca").value_or(0);
    f.pf_index = number_of(record, "pf_index").value_or(0);
    if (f.plugged) plugged.push_back(f.bdf);
    functions_.push_back(std::move(f));
  }
  VNVME_TRY(sysfs_.start(plugged));
  for (auto& f : functions_) show(f);
  return {};
}

bool Snap::save() const {
  Json out = Json::array();
  for (const auto& f : functions_)
    if (f.hotplugged)
      out.push_back({{"vuid", f.vuid}, {"bdf", f.bdf}, {"vhca", f.vhca}, {"pf_index", f.pf_index}});
  return write_file(target_.settings.state + "/functions.json", dump_json(out) + "\n");
}

std::string Snap::free_bdf() const {
  const auto vfs_end = kFirstVf + static_cast<unsigned>(target_.settings.vfs);
  for (unsigned bus = std::max(kBus, (vfs_end - 1) >> 8) + 1; bus < 0x80; ++bus) {
    auto bdf = address(bus << 8);
    if (std::none_of(functions_.begin(), functions_.end(),
                     [&bdf](const Function& f) { return f.bdf == bdf; }))
      return bdf;
  }
  return kHidden;
}

Snap::Function* Snap::by_vuid(const std::string& vuid) {
  auto it = std::find_if(functions_.begin(), functions_.end(),
                         [&vuid](const Function& f) { return f.vuid == vuid; });
  return it == functions_.end() ? nullptr : &*it;
}

// Exactly one way of naming a function: pci_bdf, vuid, vhca_id, or pf_id with perhaps vf_id.
Snap::Function* Snap::wanted_function(const Args& args) {
  auto bdf = args.text("pci_bdf"), vuid = args.text("vuid");
  auto vhca = args.number("vhca_id"), pf = args.number("pf_id"), vf = args.number("vf_id");
  if (static_cast<int>(bdf.has_value()) + vuid.has_value() + vhca.has_value() + pf.has_value() != 1)
    return nullptr;
  for (auto& f : functions_) {
    if (bdf && *bdf != kHidden && f.bdf == *bdf) return &f;
    if ((vuid && f.vuid == *vuid) || (vhca && f.vhca == *vhca)) return &f;
    if (pf && f.pf_index == *pf && f.vf == vf.has_value() && (!vf || f.vf_index == *vf)) return &f;
  }
  return nullptr;
}

bool Snap::visible(const Function& f) const {
  if (f.hotplugged) return f.plugged;
  auto it = controllers_.find(f.controller);
  return it != controllers_.end() && it->second.started;
}

void Snap::show_namespace(const Function& f, std::uint64_t nsid, const Namespace& ns) {
  Bdev* bdev = target_.bdevs.find(ns.bdev);
  if (bdev == nullptr || !ns.ready) return sysfs_.remove_namespace(f.bdf, nsid);
  Json content = {{"nsid", nsid},
                  {"uuid", ns.uuid},
                  {"size", bdev->bytes()},
                  {"nbd", target_.nbd_open ? target_.nbd_open(*bdev) : std::string()}};
  (void)sysfs_.put_namespace(f.bdf, nsid, content);
}

void Snap::show(Function& f) {
  if (f.bdf == kHidden) return;
  if (!visible(f)) return sysfs_.remove_device(f.bdf);
  auto it = controllers_.find(f.controller);
  std::string serial;
  if (it != controllers_.end())
    if (auto s = subsystems_.find(it->second.nqn); s != subsystems_.end()) serial = s->second.serial;
  (void)sysfs_.add_device(f.bdf, serial);
  for (auto& [nqn, s] : subsystems_)
    for (auto& [nsid, ns] : s.namespaces)
      if (!ns.controller.empty() && ns.controller == f.controller) show_namespace(f, nsid, ns);
}

void Snap::forget(const Bdev& bdev) {
  for (auto& [nqn, s] : subsystems_)
    for (auto& [nsid, ns] : s.namespaces) {
      if (ns.bdev != bdev.name || !ns.ready) continue;
      ns.ready = false;
      if (target_.nbd_close) target_.nbd_close(*target_.bdevs.find(bdev.name));
      auto c = controllers_.find(ns.controller);
      if (Function* f = c == controllers_.end() ? nullptr : by_vuid(c->second.vuid); f != nullptr)
        sysfs_.remove_namespace(f->bdf, nsid);
    }
}

void Snap::resized(const Bdev& bdev) {
  for (auto& [nqn, s] : subsystems_)
    for (auto& [nsid, ns] : s.namespaces)
      if (auto c = controllers_.find(ns.controller); ns.bdev == bdev.name && c != controllers_.end())
        if (Function* f = by_vuid(c->second.vuid); f != nullptr && visible(*f)) show_namespace(*f, nsid, ns);
}

Json Snap::function_json(const Function& f) const {
  Json out = {{"hotplugged", f.hotplugged}, {"emulation_type", "NVMe"}, {"pf_index", f.pf_index},
              {"pci_bdf", f.bdf},           {"vhca_id", f.vhca},        {"vuid", f.vuid}};
  if (f.vf) out["vf_index"] = f.vf_index;
  if (!f.controller.empty()) out["ctrl_id"] = f.controller;
  return out;
}

Reply Snap::list_functions(const Json* params) const {
  if (!Args::decode(params, {{"all", Type::boolean}, {"emulation_type", Type::text}})) return refuse_nvmf();
  Json out = Json::array();
  for (const auto& f : functions_) {
    if (f.vf) continue;
    Json one = function_json(f);
    one["vfs"] = Json::array();
    for (const auto& vf : functions_)
      if (vf.vf && !f.hotplugged) one["vfs"].push_back(function_json(vf));
    out.push_back(std::move(one));
  }
  return out;
}

Reply Snap::create_function(const Json* params) {
  if (!Args::decode(params, {})) return refuse_nvmf();
  std::uint64_t count = 0, vhca = kFirstHotplugVhca, index = 1;
  for (const auto& f : functions_) count += f.hotplugged ? 1 : 0;
  if (count >= target_.settings.hotplug) return refuse_errno(ENOSPC);
  auto taken = [this](auto member, std::uint64_t value) {
    return std::any_of(functions_.begin(), functions_.end(),
                       [&](const Function& f) { return !f.vf && f.*member == value; });
  };
  while (taken(&Function::vhca, vhca)) ++vhca;
  while (taken(&Function::pf_index, index)) ++index;
  Function f;
  f.hotplugged = true;
  f.bdf = kHidden;
  f.vhca = vhca;
  f.pf_index = index;
  f.vuid = kCard + std::to_string(index) + "D0F0";
  functions_.push_back(f);
  if (!save()) return refuse_errno(EIO);
  return Json{{"vhca_id", f.vhca}, {"vuid", f.vuid}};
}

Reply Snap::destroy_function(const Json* params) {
  auto args = Args::decode(params, {{"vuid", Type::text, true}});
  if (!args) return refuse_nvmf();
  Function* f = by_vuid(*args->text("vuid"));
  if (f == nullptr) return refuse_errno(ENODEV);
  if (!f->hotplugged) return refuse_errno(EPERM);
  if (f->plugged || !f->controller.empty()) return refuse_errno(EBUSY);
  std::erase_if(functions_, [&args](const Function& g) { return g.vuid == *args->text("vuid"); });
  return save() ? Reply(true) : Reply(refuse_errno(EIO));
}

Json Snap::dump() const {
  Json functions = Json::array(), exposures = Json::array();
  for (const auto& f : functions_) {
    functions.push_back(function_json(f));
    functions.back()["visible"] = visible(f);
  }
  for (const auto& [nqn, s] : subsystems_)
    for (const auto& [nsid, ns] : s.namespaces) {
      auto c = controllers_.find(ns.controller);
      exposures.push_back({{"nqn", nqn},
                           {"nsid", nsid},
                           {"bdev", ns.bdev},
                           {"uuid", ns.uuid},
                           {"ready", ns.ready},
                           {"controller", ns.controller},
                           {"vuid", c == controllers_.end() ? "" : c->second.vuid}});
    }
  return {{"functions", std::move(functions)}, {"exposures", std::move(exposures)}};
}

}  // namespace vnvme::sim
