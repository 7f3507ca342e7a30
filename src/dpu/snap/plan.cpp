#include <algorithm>

#include "dpu/snap/snap.hpp"

namespace vnvme::dpu::snap {
namespace {

using spdk::ours;

// A controller with its subsystem.
struct Found {
  const SnapSubsystem* subsystem = nullptr;
  const SnapController* controller = nullptr;
  explicit operator bool() const { return controller != nullptr; }
};

// The controller on a function: by its id, else by the vhca id that both name.
Found controller_on(const SnapState& state, const SnapFunction& f) {
  for (const auto& s : state.subsystems)
    for (const auto& c : s.controllers)
      if (f.controller.empty() ? (f.vhca && c.vhca && *f.vhca == *c.vhca) : c.id == f.controller)
        return {&s, &c};
  return {};
}

const SnapFunction* function_with(const SnapState& state, const SnapController& controller) {
  for (const auto& f : state.functions) {
    auto found = controller_on(state, f);
    if (found && found.controller->id == controller.id) return &f;
  }
  return nullptr;
}

const SnapFunction* find_function(const SnapState& state, const FunctionId& id) {
  for (const auto& f : state.functions)
    if (f.vuid == id.str()) return &f;
  return nullptr;
}

const SnapSubsystem* find_subsystem(const SnapState& state, std::string_view nqn) {
  for (const auto& s : state.subsystems)
    if (s.nqn == nqn) return &s;
  return nullptr;
}

// A controller that no listing of subsystems explains is somebody else's, not an idle function.
bool idle(const SnapState& state, const SnapFunction& f) {
  return f.controller.empty() && !controller_on(state, f);
}

const SnapFunction* pick_idle(const SnapState& state) {
  for (const auto& f : state.functions)
    if (f.virtual_function && idle(state, f)) return &f;
  for (const auto& f : state.functions)
    if (f.hotplugged && f.bdf.empty() && idle(state, f)) return &f;
  return nullptr;
}

bool attached(const SnapController& c, std::uint32_t nsid) {
  return std::find(c.attached.begin(), c.attached.end(), nsid) != c.attached.end();
}

const SnapNamespace* find_namespace(const SnapSubsystem& s, std::uint32_t nsid) {
  for (const auto& ns : s.namespaces)
    if (ns.nsid == nsid) return &ns;
  return nullptr;
}

Plan create_controller(const SnapFunction& f, const std::string& nqn) {
  spdk::Params params = {{"nqn", nqn}, {"suspended", true}};
  // A function that the host does not see has no address: then it is named by its VUID.
  if (f.bdf.empty())
    params["vuid"] = f.vuid;
  else
    params["pci_bdf"] = f.bdf.starts_with("0000:") ? f.bdf.substr(5) : f.bdf;
  return Plan::go({.method = "nvme_controller_create", .params = std::move(params), .object = nqn});
}

Plan by_controller(std::string method, const SnapController& c, bool wait) {
  spdk::Params params = {{"ctrl_id", c.id}};
  if (wait) params["wait_for_done"] = true;
  return Plan::go(
      {.method = std::move(method),
       .params = std::move(params),
       .object = c.id,
       .cap = wait ? MonoClock::duration(spdk::kListCall) : MonoClock::duration(spdk::kShortCall)});
}

// Our controller on that function, or why not.
Found our_controller(const SnapState& state, const FunctionId& id, std::optional<Plan>& refusal) {
  const auto* f = find_function(state, id);
  if (f == nullptr) {
    refusal = Plan::refuse(Errc::not_found, "there is no function \"" + id.str() + "\"");
    return {};
  }
  auto found = controller_on(state, *f);
  if (!found && !f->controller.empty()) {
    refusal =
        Plan::refuse(Errc::not_permitted, "function \"" + id.str() + "\" has a controller that is not ours");
  } else if (!found) {
    refusal = Plan::refuse(Errc::not_found, "function \"" + id.str() + "\" has no controller");
  } else if (!ours(found.subsystem->nqn)) {
    refusal = Plan::refuse(Errc::not_permitted,
                           "function \"" + id.str() + "\" belongs to \"" + found.subsystem->nqn + "\"");
    return {};
  }
  return found;
}

}  // namespace

std::vector<Function> functions_of(const SnapState& state) {
  std::vector<Function> all;
  for (const auto& f : state.functions) {
    auto found = controller_on(state, f);
    Function out;
    out.id = FunctionId(f.vuid);
    out.bdf = f.bdf;
    out.virtual_function = f.virtual_function;
    out.hotplugged = f.hotplugged;
    if (found) {
      out.serial = found.subsystem->serial;
      out.foreign = !ours(found.subsystem->nqn);
      out.ready = !out.foreign && found.controller->state == "STARTED" && !f.bdf.empty() &&
                  (!f.hotplugged || found.controller->plugged);
    } else {
      out.foreign = !f.controller.empty();
    }
    all.push_back(std::move(out));
  }
  return all;
}

std::vector<Exposure> snap_exposures_of(const SnapState& state) {
  std::vector<Exposure> all;
  for (const auto& s : state.subsystems) {
    // A subsystem of ours has one controller; a namespace that is attached to none is in use all the same.
    std::string id = s.nqn;
    if (!s.controllers.empty())
      if (const auto* f = function_with(state, s.controllers.front())) id = f->vuid;
    for (const auto& ns : s.namespaces)
      all.push_back(Exposure{FunctionId(id), ns.nsid, ns.bdev, ns.uuid, !ours(s.nqn)});
  }
  return all;
}

Plan plan_snap_open(const SnapState& state, const std::string& serial, bool can_create,
                    const FunctionId& preferred) {
  auto nqn = spdk::nqn_of_serial(serial);
  if (!nqn) return Plan::refuse(nqn.error().code, nqn.error().text);
  const auto* s = find_subsystem(state, *nqn);
  if (s == nullptr)
    return Plan::go({.method = "nvme_subsystem_create",
                     .params = {{"nqn", *nqn}, {"sn", serial}, {"mn", "vnvme"}},
                     .object = *nqn});
  if (s->controllers.empty()) {
    // The one that had it before, also a hot-plugged one that the host still sees.
    if (const auto* f = find_function(state, preferred); f != nullptr && idle(state, *f))
      return create_controller(*f, *nqn);
    if (const auto* f = pick_idle(state)) return create_controller(*f, *nqn);
    if (!can_create) return Plan::refuse(Errc::no_space, "the DPU has no idle function, and cannot make one");
    return Plan::go({.method = "nvme_function_create", .object = serial});
  }
  const auto& c = s->controllers.front();
  const auto* f = function_with(state, c);
  if (f == nullptr)
    return Plan::refuse(Errc::conflict, "controller \"" + c.id + "\" is on no function that is listed");
  if (c.state != "STARTED") return by_controller("nvme_controller_resume", c, false);
  if (f->hotplugged && !c.plugged) return by_controller("nvme_controller_hotplug", c, true);
  return Plan::done();
}

Plan plan_snap_close(const SnapState& state, const FunctionId& id, std::string& nqn) {
  const auto* f = find_function(state, id);
  auto found = f != nullptr ? controller_on(state, *f) : Found{};
  if (f != nullptr && !found && !f->controller.empty())
    return Plan::refuse(Errc::not_permitted,
                        "function \"" + id.str() + "\" has a controller that is not ours");
  if (found) {
    if (!ours(found.subsystem->nqn))
      return Plan::refuse(Errc::not_permitted,
                          "function \"" + id.str() + "\" belongs to \"" + found.subsystem->nqn + "\"");
    if (!found.subsystem->namespaces.empty() || !found.controller->attached.empty())
      return Plan::refuse(Errc::in_use, "function \"" + id.str() + "\" still has namespaces");
    nqn = found.subsystem->nqn;
    if (f->hotplugged && found.controller->plugged)
      return by_controller("nvme_controller_hotunplug", *found.controller, true);
    return Plan::go({.method = "nvme_controller_destroy",
                     .params = {{"ctrl_id", found.controller->id}, {"force", true}},
                     .object = found.controller->id});
  }
  // No force: a subsystem that is still occupied would mean that our order is wrong. When an earlier attempt
  // broke off right here, nothing tells which subsystem was this function's: every empty one of ours goes,
  // they are made again when they are wanted.
  for (const auto& s : state.subsystems)
    if (ours(s.nqn) && s.controllers.empty() && s.namespaces.empty() && (nqn.empty() || s.nqn == nqn))
      return Plan::go({.method = "nvme_subsystem_destroy", .params = {{"nqn", s.nqn}}, .object = s.nqn});
  if (f != nullptr && f->hotplugged)
    return Plan::go({.method = "nvme_function_destroy", .params = {{"vuid", f->vuid}}, .object = f->vuid});
  return Plan::done();
}

Plan plan_snap_expose(const SnapState& state, const Expose& want) {
  std::optional<Plan> refusal;
  auto found = our_controller(state, want.function, refusal);
  if (refusal) return std::move(*refusal);
  if (want.nsid == 0) return Plan::refuse(Errc::invalid_argument, "namespace ids begin with 1");
  for (const auto& e : snap_exposures_of(state)) {
    bool here = e.function == want.function && e.nsid == want.nsid;
    if (here && (e.target != want.target || e.uuid != want.uuid))
      return Plan::refuse(Errc::conflict, "namespace " + std::to_string(e.nsid) + " of \"" +
                                              e.function.str() + "\" is \"" + e.target + "\" with uuid " +
                                              e.uuid + " already");
    if (!here && e.target == want.target)
      return Plan::refuse(Errc::in_use, "\"" + want.target + "\" is namespace " + std::to_string(e.nsid) +
                                            " of function \"" + e.function.str() + "\" already");
  }
  const auto& nqn = found.subsystem->nqn;
  if (find_namespace(*found.subsystem, want.nsid) == nullptr)
    return Plan::go({.method = "nvme_namespace_create",
                     .params = {{"bdev_type", "spdk"},
                                {"nqn", nqn},
                                {"nsid", want.nsid},
                                {"uuid", want.uuid},
                                {"bdev_name", want.target}},
                     .object = want.target});
  if (!attached(*found.controller, want.nsid))
    return Plan::go({.method = "nvme_controller_attach_ns",
                     .params = {{"nsid", want.nsid}, {"ctrl_id", found.controller->id}},
                     .object = want.target});
  return Plan::done();
}

Plan plan_snap_unexpose(const SnapState& state, const FunctionId& id, std::uint32_t nsid) {
  std::optional<Plan> refusal;
  auto found = our_controller(state, id, refusal);
  if (refusal) return refusal->refusal->code == Errc::not_found ? Plan::done() : std::move(*refusal);
  if (attached(*found.controller, nsid))
    return Plan::go({.method = "nvme_controller_detach_ns",
                     .params = {{"nsid", nsid}, {"ctrl_id", found.controller->id}},
                     .object = id.str()});
  if (find_namespace(*found.subsystem, nsid) != nullptr)
    return Plan::go({.method = "nvme_namespace_destroy",
                     .params = {{"nqn", found.subsystem->nqn}, {"nsid", nsid}},
                     .object = id.str()});
  return Plan::done();
}

}  // namespace vnvme::dpu::snap
