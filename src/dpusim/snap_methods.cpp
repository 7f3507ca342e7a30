// Subsystems, namespaces and controllers of the SNAP-4 interface.
#include <algorithm>
#include <cerrno>

#include "dpusim/snap.hpp"
#include "dpusim/target.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::sim {

Snap::Controller* Snap::controller(const std::optional<Args>& args) {
  auto it = args ? controllers_.find(args->text_or("ctrl_id", "")) : controllers_.end();
  return it == controllers_.end() ? nullptr : &it->second;
}

Snap::Namespace* Snap::find_namespace(const std::string& nqn, std::uint64_t nsid) {
  auto s = subsystems_.find(nqn);
  if (s == subsystems_.end()) return nullptr;
  auto ns = s->second.namespaces.find(nsid);
  return ns == s->second.namespaces.end() ? nullptr : &ns->second;
}

Json Snap::namespace_json(const std::string& nqn, std::uint64_t nsid, const Namespace& ns) const {
  Json controllers = Json::array();
  if (!ns.controller.empty()) controllers.push_back({{"ctrl_id", ns.controller}});
  return {{"nsid", nsid},
          {"bdev", ns.bdev},
          {"ready", ns.ready ? "Yes" : "No"},
          {"nqn", nqn},
          {"uuid", ns.uuid},
          {"max inflights per weight", 65535},
          {"controllers", std::move(controllers)}};
}

Json Snap::controller_json(const std::string& id, const Controller& c) const {
  Json namespaces = Json::array();
  for (const auto& [nsid, ns] : subsystems_.at(c.nqn).namespaces)
    if (ns.controller == id) namespaces.push_back({{"nsid", nsid}, {"bdev", ns.bdev}, {"uuid", ns.uuid}});
  const Function* f = const_cast<Snap*>(this)->by_vuid(c.vuid);
  return {{"ctrl_id", id},
          {"mdts", c.mdts},
          {"vhca_id", f == nullptr ? 0 : f->vhca},
          {"nqn", c.nqn},
          {"plugged", f != nullptr && (!f->hotplugged || f->plugged)},
          {"state", c.started ? "STARTED" : "SUSPENDED"},
          {"num_queues", c.queues},
          {"max_queues", 64},
          {"namespaces", std::move(namespaces)}};
}

Reply Snap::list_subsystems(const Json* params) const {
  auto args = Args::decode(params, {{"nqn", Type::text}});
  if (!args) return refuse_nvmf();
  Json out = Json::array();
  for (const auto& [nqn, s] : subsystems_) {
    if (args->text_or("nqn", nqn) != nqn) continue;
    Json controllers = Json::array(), namespaces = Json::array();
    for (const auto& [id, c] : controllers_)
      if (c.nqn == nqn) controllers.push_back(controller_json(id, c));
    for (const auto& [nsid, ns] : s.namespaces) namespaces.push_back(namespace_json(nqn, nsid, ns));
    out.push_back({{"nqn", nqn},
                   {"mn", s.model},
                   {"sn", s.serial},
                   {"mnan", s.mnan},
                   {"nn", s.nn},
                   {"controllers", std::move(controllers)},
                   {"namespaces", std::move(namespaces)}});
  }
  return out;
}

Reply Snap::create_subsystem(const Json* params) {
  auto args = Args::decode(params, {{"nqn", Type::text, true},
                                    {"sn", Type::text},
                                    {"mn", Type::text},
                                    {"mnan", Type::number},
                                    {"nn", Type::number}});
  if (!args) return refuse_nvmf();
  auto nqn = *args->text("nqn");
  if (!nqn.starts_with("nqn.") || nqn.size() > 223) return refuse_errno(EINVAL);
  if (subsystems_.contains(nqn)) return refuse_errno(EEXIST);
  Subsystem made;
  made.serial = args->text_or("sn", "MNC12");
  made.model = args->text_or("mn", "BlueField NVMe SNAP Controller");
  made.mnan = args->number_or("mnan", made.mnan);
  made.nn = args->number_or("nn", made.nn);
  if (made.serial.size() > 20 || made.model.size() > 40) return refuse_errno(EINVAL);
  subsystems_[nqn] = std::move(made);
  return true;
}

Reply Snap::destroy_subsystem(const Json* params) {
  auto args = Args::decode(params, {{"nqn", Type::text, true}, {"force", Type::boolean}});
  if (!args) return refuse_nvmf();
  auto it = subsystems_.find(*args->text("nqn"));
  if (it == subsystems_.end()) return refuse_errno(ENODEV);
  bool used = std::any_of(controllers_.begin(), controllers_.end(),
                          [&it](const auto& c) { return c.second.nqn == it->first; });
  if (used || (!it->second.namespaces.empty() && !args->flag("force"))) return refuse_errno(EBUSY);
  while (!it->second.namespaces.empty()) {
    Json inner = {{"nqn", it->first}, {"nsid", it->second.namespaces.begin()->first}};
    (void)destroy_namespace(&inner);
  }
  subsystems_.erase(it);
  return true;
}

Reply Snap::list_namespaces(const Json* params) const {
  auto args = Args::decode(params, {{"nqn", Type::text}});
  if (!args) return refuse_nvmf();
  Json out = Json::array();
  for (const auto& [nqn, s] : subsystems_)
    if (args->text_or("nqn", nqn) == nqn)
      for (const auto& [nsid, ns] : s.namespaces) out.push_back(namespace_json(nqn, nsid, ns));
  return out;
}

Reply Snap::create_namespace(const Json* params) {
  auto args = Args::decode(params, {{"bdev_type", Type::text},
                                    {"nqn", Type::text, true},
                                    {"nsid", Type::number, true},
                                    {"uuid", Type::text},
                                    {"nguid", Type::text},
                                    {"eui64", Type::text},
                                    {"bdev_name", Type::text, true}});
  if (!args || args->text_or("bdev_type", "spdk") != "spdk") return refuse_nvmf();
  auto s = subsystems_.find(*args->text("nqn"));
  Bdev* bdev = target_.bdevs.find(*args->text("bdev_name"));
  if (s == subsystems_.end() || bdev == nullptr) return refuse_errno(ENODEV);
  auto nsid = *args->number("nsid");
  if (nsid == 0 || nsid > s->second.nn) return refuse_errno(EINVAL);
  if (s->second.namespaces.contains(nsid)) return refuse_errno(EEXIST);
  if (s->second.namespaces.size() >= s->second.mnan) return refuse_errno(ENOSPC);
  if (!bdev->claim.empty()) return refuse_errno(EBUSY);
  auto uuid = args->text("uuid") ? parse_uuid(*args->text("uuid")) : std::optional(bdev->uuid);
  if (!uuid) return refuse_errno(EINVAL);
  s->second.namespaces[nsid] = {bdev->name, *uuid, args->text_or("nguid", ""), args->text_or("eui64", ""),
                                "",         true};
  bdev->claim = "exclusive_write";
  bdev->claimed_by = "snap";
  return true;
}

Reply Snap::destroy_namespace(const Json* params) {
  auto args = Args::decode(params, {{"nqn", Type::text, true}, {"nsid", Type::number, true}});
  if (!args) return refuse_nvmf();
  Namespace* ns = find_namespace(*args->text("nqn"), *args->number("nsid"));
  if (ns == nullptr) return refuse_errno(ENODEV);
  if (!ns->controller.empty()) return refuse_errno(EBUSY);
  if (Bdev* bdev = target_.bdevs.find(ns->bdev); bdev != nullptr && ns->ready && bdev->claimed_by == "snap") {
    bdev->claim.clear();
    bdev->claimed_by.clear();
  }
  subsystems_[*args->text("nqn")].namespaces.erase(*args->number("nsid"));
  return true;
}

Reply Snap::list_controllers(const Json* params) const {
  auto args = Args::decode(params, {{"nqn", Type::text}, {"ctrl_id", Type::text}});
  if (!args) return refuse_nvmf();
  Json out = Json::array();
  for (const auto& [id, c] : controllers_)
    if (args->text_or("nqn", c.nqn) == c.nqn && args->text_or("ctrl_id", id) == id)
      out.push_back(controller_json(id, c));
  return out;
}

Reply Snap::create_controller(const Json* params) {
  auto args = Args::decode(params, {{"nqn", Type::text, true},
                                    {"suspended", Type::boolean},
                                    {"pci_bdf", Type::text},
                                    {"vuid", Type::text},
                                    {"vhca_id", Type::number},
                                    {"pf_id", Type::number},
                                    {"vf_id", Type::number},
                                    {"ctrl", Type::text},
                                    {"ctrl_id", Type::text},
                                    {"num_queues", Type::number},
                                    {"mdts", Type::number},
                                    {"admin_only", Type::boolean}});
  if (!args) return refuse_nvmf();
  Function* f = wanted_function(*args);
  if (f == nullptr || !subsystems_.contains(*args->text("nqn"))) return refuse_errno(ENODEV);
  if (!f->controller.empty()) return refuse_errno(EEXIST);
  auto id = args->text_or("ctrl", args->text_or("ctrl_id", ""));
  while (id.empty() || (!args->text("ctrl") && !args->text("ctrl_id") && controllers_.contains(id)))
    id = "NVMeCtrl" + std::to_string(next_controller_++);
  if (controllers_.contains(id)) return refuse_errno(EEXIST);
  Controller made;
  made.nqn = *args->text("nqn");
  made.vuid = f->vuid;
  made.queues = args->number_or("num_queues", made.queues);
  made.mdts = args->number_or("mdts", made.mdts);
  made.started = !args->flag("suspended");
  controllers_[id] = std::move(made);
  f->controller = id;
  show(*f);
  return Json{{"ctrl_id", id}};
}

Reply Snap::destroy_controller(const Json* params) {
  auto args = Args::decode(params, {{"ctrl_id", Type::text, true}, {"force", Type::boolean}});
  if (!args) return refuse_nvmf();
  Controller* c = controller(args);
  if (c == nullptr) return refuse_errno(ENODEV);
  Function* f = by_vuid(c->vuid);
  auto id = *args->text("ctrl_id");
  auto& namespaces = subsystems_[c->nqn].namespaces;
  bool used = std::any_of(namespaces.begin(), namespaces.end(),
                          [&id](const auto& n) { return n.second.controller == id; });
  if ((used || (f != nullptr && f->plugged)) && !args->flag("force")) return refuse_errno(EBUSY);
  for (auto& [nsid, ns] : namespaces)
    if (ns.controller == id) detach_one(*c, nsid, ns);
  controllers_.erase(id);
  if (f != nullptr) {
    f->controller.clear();
    show(*f);
  }
  return true;
}

Reply Snap::attach(const Json* params) {
  auto args = Args::decode(params, {{"ctrl_id", Type::text, true}, {"nsid", Type::number, true}});
  if (!args) return refuse_nvmf();
  Controller* c = controller(args);
  Namespace* ns = c == nullptr ? nullptr : find_namespace(c->nqn, *args->number("nsid"));
  if (ns == nullptr) return refuse_errno(ENODEV);
  if (ns->controller == *args->text("ctrl_id")) return refuse_errno(EEXIST);
  if (!ns->controller.empty()) return refuse_errno(EBUSY);  // SNAP shares no namespace between controllers
  if (!ns->ready) return refuse_errno(EIO);
  ns->controller = *args->text("ctrl_id");
  Bdev* bdev = target_.bdevs.find(ns->bdev);
  if (bdev != nullptr && target_.nbd_open) (void)target_.nbd_open(*bdev);
  if (Function* f = by_vuid(c->vuid); f != nullptr && visible(*f))
    show_namespace(*f, *args->number("nsid"), *ns);
  return true;
}

void Snap::detach_one(Controller& c, std::uint64_t nsid, Namespace& ns) {
  ns.controller.clear();
  if (Function* f = by_vuid(c.vuid); f != nullptr) sysfs_.remove_namespace(f->bdf, nsid);
  if (Bdev* bdev = ns.ready ? target_.bdevs.find(ns.bdev) : nullptr; bdev != nullptr && target_.nbd_close)
    target_.nbd_close(*bdev);
}

Reply Snap::detach(const Json* params) {
  auto args = Args::decode(params, {{"ctrl_id", Type::text, true}, {"nsid", Type::number, true}});
  if (!args) return refuse_nvmf();
  Controller* c = controller(args);
  Namespace* ns = c == nullptr ? nullptr : find_namespace(c->nqn, *args->number("nsid"));
  if (ns == nullptr || ns->controller != *args->text("ctrl_id")) return refuse_errno(ENODEV);
  detach_one(*c, *args->number("nsid"), *ns);
  return true;
}

Reply Snap::set_started(const Json* params, bool started) {
  auto args = Args::decode(params, {{"ctrl_id", Type::text, true},
                                    {"timeout_ms", Type::number, false, !started},
                                    {"admin_only", Type::boolean, false, !started}});
  if (!args) return refuse_nvmf();
  Controller* c = controller(args);
  if (c == nullptr) return refuse_errno(ENODEV);
  c->started = started;
  // A suspended controller stays where the host saw it: suspending is no unplug.
  if (Function* f = by_vuid(c->vuid); f != nullptr && started) show(*f);
  return true;
}

void Snap::plug(const Json* params, const Done& done, bool in) {
  auto args = Args::decode(params, {{"ctrl_id", Type::text, true}, {"wait_for_done", Type::boolean}});
  if (!args) return done(refuse_nvmf());
  Controller* c = controller(args);
  Function* f = c == nullptr ? nullptr : by_vuid(c->vuid);
  if (f == nullptr) return done(refuse_errno(ENODEV));
  if (!f->hotplugged) return done(refuse_errno(EPERM));
  if (f->plugged == in) return done(refuse_errno(in ? EEXIST : ENODEV));
  auto act = [this, vuid = f->vuid, in]() -> Reply {
    Function* now = by_vuid(vuid);
    if (now == nullptr) return refuse_errno(ENODEV);
    if (!in) sysfs_.remove_device(now->bdf);
    now->bdf = in ? free_bdf() : "00:00.0";
    now->plugged = in;
    if (in) show(*now);
    return save() ? Reply(true) : Reply(refuse_errno(EIO));
  };
  auto method = in ? "nvme_controller_hotplug" : "nvme_controller_hotunplug";
  if (args->flag("wait_for_done")) return target_.later(method, [act, done] { done(act()); });
  done(true);  // the host gets to know later; emulation_function_list tells when
  target_.later(method, [act] { (void)act(); });
}

void Snap::add_methods() {
  using Read = Reply (Snap::*)(const Json*) const;
  using Act = Reply (Snap::*)(const Json*);
  auto read = [this](const char* name, Read act) {
    target_.on_sync(name, [this, act](const Json* p) { return (this->*act)(p); });
  };
  auto on = [this](const char* name, Act act) {
    target_.on_sync(name, [this, act](const Json* p) { return (this->*act)(p); });
  };
  read("emulation_function_list", &Snap::list_functions);
  read("nvme_subsystem_list", &Snap::list_subsystems);
  read("nvme_namespace_list", &Snap::list_namespaces);
  read("nvme_controller_list", &Snap::list_controllers);
  on("nvme_function_create", &Snap::create_function);
  on("nvme_function_destroy", &Snap::destroy_function);
  on("nvme_subsystem_create", &Snap::create_subsystem);
  on("nvme_subsystem_destroy", &Snap::destroy_subsystem);
  on("nvme_namespace_create", &Snap::create_namespace);
  on("nvme_namespace_destroy", &Snap::destroy_namespace);
  on("nvme_controller_create", &Snap::create_controller);
  on("nvme_controller_destroy", &Snap::destroy_controller);
  on("nvme_controller_attach_ns", &Snap::attach);
  on("nvme_controller_detach_ns", &Snap::detach);
  target_.on_sync("nvme_controller_resume", [this](const Json* p) { return set_started(p, true); });
  target_.on_sync("nvme_controller_suspend", [this](const Json* p) { return set_started(p, false); });
  target_.on("nvme_controller_hotplug", [this](const Json* p, const Done& done) { plug(p, done, true); });
  target_.on("nvme_controller_hotunplug", [this](const Json* p, const Done& done) { plug(p, done, false); });
}

}  // namespace vnvme::sim
