#include "service/datapath_calls.hpp"

#include "core/log.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"
#include "service/drive_check.hpp"
#include "service/intent.hpp"

namespace vnvme::service {
namespace {
using std::chrono::seconds;
// After an expose of unknown outcome. An overdue answer holds the DPU's lane for 10 s.
constexpr int kLooks = 3;
constexpr auto kLookPause = std::chrono::milliseconds(200);
constexpr auto kLookLimit = seconds(15);

Error not_reserved(const Core& core, const VmId& vm, const DpuId& dpu) {
  const std::string what = "no function of DPU " + dpu.value + " is reserved for VM " + vm.value;
  const std::string advice =
      core.ports.xapi == nullptr
          ? "; shut it down, run `vnvme reserve " + vm.value + "` and start it again"
          : "; vnvmed does that by itself when XAPI says that the VM has a VBD on such a volume, and `vnvme "
            "events` says why it could not: shut the VM down and start it again after that";
  return {.code = Errc::not_permitted, .text = what + advice};
}

bool same_hold(const AttachmentRecord& a, const AttachmentRecord& b) {
  return a.domains == b.domains && a.function == b.function && a.dpu == b.dpu && a.nsid == b.nsid &&
         a.state == b.state && a.boot_id == b.boot_id;
}

// Where a function has one namespace only, its number is no durable fact about a volume.
bool numbered(Link& link) {
  return link.dpu().capabilities().namespaces_per_function > 1;
}

Changes begin_expose(const AttachmentRecord& record, const IntentRecord& intent, bool with_number) {
  auto changes = Changes().put(record).put(intent);
  if (!with_number) return changes;
  return std::move(changes).put(NsidRecord{record.owner, record.volume, record.nsid});
}

// Where a function carries one volume, its owner has no room for another one.
Result<void> may_attach(const Core& core, const Place& place, const VolumeRecord& volume,
                        const std::string& owner) {
  auto allowed = model::may_attach(core.world, volume, owner);
  if (!allowed || numbered(*place.link)) return allowed;
  for (const auto& [key, a] : core.world.attachments()) {
    if (a.owner != owner || a.dpu != place.sr.dpu || a.volume == volume.id) continue;
    return fail(a.state == AttachState::releasing ? Errc::busy : Errc::in_use,
                "a function of DPU " + a.dpu.value + " carries one volume, and " + model::describe_owner(a) +
                    " has volume " + a.volume.value + " on its one");
  }
  return {};
}

}  // namespace

Task<Result<dpu::Function>> own_function(Core& core, Link& link, std::string serial, FunctionId preferred,
                                         Deadline deadline) {
  if (serial == model::kDom0Serial) co_return co_await open_dom0_function(core, link, deadline);
  auto functions = co_await link.dpu().list_functions(deadline);
  if (!functions) co_return fail(std::move(functions.error()));
  for (auto& f : *functions)
    if (f.serial == serial && f.ready && !f.foreign) co_return std::move(f);
  co_return co_await link.dpu().open_function(serial, deadline, preferred);
}

Task<Result<std::string>> DatapathCalls::owner_of(std::string domain, Deadline deadline) {
  switch (model::domain_kind(domain)) {
    case model::DomainKind::dom0:
      co_return std::string(model::kDom0);
    case model::DomainKind::nobody:
      co_return fail(Errc::invalid_argument,
                     "'" + domain.substr(0, 80) + "' is neither a domain id nor one of dom0's names");
    case model::DomainKind::guest:
      break;
  }
  auto vm = co_await core_.ports.domains.vm_of(*model::domid_of(domain), deadline);
  if (!vm) co_return fail(std::move(vm.error()));
  // Not not_found: XAPI would read that the volume does not exist.
  if (!*vm) co_return fail(Errc::not_permitted, "there is no domain " + domain + " on this host");
  co_return model::owner_of_vm(**vm);
}

Task<Result<DatapathCalls::Plan>> DatapathCalls::plan(smapi::Context context, std::string uri,
                                                      std::string domain) {
  auto target = smapi::parse_uri(uri);
  if (!target) co_return fail(std::move(target.error()));
  auto owner = co_await owner_of(domain, context.deadline);
  if (!owner) co_return fail(std::move(owner.error()));
  auto place = co_await place_of(core_, target->sr, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  auto guard = co_await core_.guard(target->volume, context.method, context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  auto volume = visible_volume(core_, target->sr, target->volume);
  if (!volume) co_return fail(std::move(volume.error()));
  Plan plan{std::move(*place), std::move(*volume), std::move(*owner), std::move(domain), {}, {}, {}};
  auto allowed = may_attach(core_, plan.place, plan.volume, plan.owner);
  while (!allowed && allowed.error().code == Errc::busy && !context.deadline.passed() && !core_.stopping()) {
    guard->release();  // the releaser needs it
    core_.work.notify();
    co_await core_.released.wait(context.deadline.capped(seconds(1)));
    guard = co_await core_.guard(target->volume, context.method, context.deadline);
    if (!guard) co_return fail(std::move(guard.error()));
    allowed = may_attach(core_, plan.place, plan.volume, plan.owner);
  }
  if (!allowed) co_return fail(std::move(allowed.error()));
  plan.guard = std::move(*guard);
  if (plan.owner == model::kDom0) {
    plan.serial = model::kDom0Serial;
    co_return plan;
  }
  VmId vm = *model::vm_of_owner(plan.owner);
  const ReservationRecord* reserved = core_.world.reservation(vm, plan.place.sr.dpu);
  if (reserved == nullptr || reserved->function.empty())
    co_return fail(not_reserved(core_, vm, plan.place.sr.dpu));
  plan.serial = reserved->serial;
  plan.function = reserved->function;
  co_return plan;
}

Task<Result<void>> DatapathCalls::expose_in_lane(Plan& plan, const AttachmentRecord& record,
                                                 Deadline deadline) {
  Link& link = *plan.place.link;
  auto exposures = co_await link.dpu().list_exposures(deadline);
  if (!exposures) co_return fail(std::move(exposures.error()));
  for (const auto& e : *exposures) {
    if (e.target != plan.volume.dpu_id.value) continue;
    // Here already, or half of it (a namespace that no controller has yet): expose() completes it.
    if (e.function == record.function && e.nsid == record.nsid) continue;
    co_return fail(Errc::in_use, "volume " + plan.volume.id.value + " is exposed already, as namespace " +
                                     std::to_string(e.nsid) + " of function " + e.function.value +
                                     (e.foreign ? ", which is not vnvme's" : ""));
  }
  dpu::Expose order{record.function, record.nsid, plan.volume.dpu_id.value, plan.volume.id.value};
  auto exposed = co_await link.dpu().expose(order, deadline);
  if (exposed || exposed.error().outcome == Outcome::not_done) co_return exposed;
  // Nobody can tell: it begins with a look at what is there, and does only what is missing (C3). The session
  // may be another one by then, and an unanswered change may hold the DPU's lane for a while.
  for (int tries = 0; tries < kLooks && !exposed && !deadline.passed() && !core_.stopping(); ++tries) {
    co_await pause_for(kLookPause);
    auto ready = co_await link.ready(deadline);
    if (!ready) break;
    exposed = co_await link.dpu().expose(order, deadline.capped(kLookLimit));
  }
  // Whatever the last look met, the first attempt may have done it.
  if (!exposed) exposed.error().outcome = Outcome::unknown;
  co_return exposed;
}

Task<Result<dpu::Function>> DatapathCalls::expose(smapi::Context context, Plan& plan) {
  Link& link = *plan.place.link;
  auto lane =
      co_await link.functions_lane().acquire("attach of volume " + plan.volume.id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto function = co_await own_function(core_, link, plan.serial, plan.function, context.deadline);
  if (!function) co_return fail(std::move(function.error()));
  if (!plan.function.empty() && function->id != plan.function)
    co_return fail(Errc::conflict,
                   "function " + plan.function.value + " was reserved, but its serial is now on function " +
                       function->id.value +
                       "; shut the VM down and run `vnvme unreserve` and `vnvme reserve` for it");
  if (plan.owner != model::kDom0 && !function->bdf.empty()) {
    // Before the namespace is there: dom0's own driver must never see a guest's (I4).
    auto bound = co_await core_.ports.pci.bind_pciback(function->bdf, context.deadline);
    if (!bound) co_return fail(std::move(bound.error()));
  }
  AttachmentRecord record;
  const AttachmentRecord* known = core_.world.attachment(plan.volume.id, plan.owner);
  if (known != nullptr) record = *known;
  record.volume = plan.volume.id;
  record.owner = plan.owner;
  if (plan.owner != model::kDom0) record.domains.clear();  // a rebooted VM has one domain, the new one
  record.domains.insert(plan.domain);
  record.function = function->id;
  record.dpu = plan.place.sr.dpu;
  record.boot_id = core_.ports.pci.boot_id();
  if (!numbered(link)) record.nsid = 1;
  if (record.nsid == 0) record.nsid = core_.world.nsid_for(plan.owner, plan.volume.id);
  if (record.state == AttachState::releasing) {
    record.state = AttachState::attached;
    record.mode = AttachMode::none;
  }
  IntentRecord intent = new_intent(core_, IntentKind::expose, plan.place.sr, plan.volume.id, context.request);
  intent.facts["owner"] = plan.owner;
  LiveIntent live(core_, intent.id);
  bool changed = known == nullptr || !same_hold(*known, record);
  if (changed) {
    auto stored = co_await core_.commit(begin_expose(record, intent, numbered(link)));
    if (!stored) co_return fail(std::move(stored.error()));
  }
  auto exposed = co_await expose_in_lane(plan, record, context.deadline);
  if (!exposed) {
    bool fresh = known == nullptr;
    if (changed && exposed.error().outcome == Outcome::not_done && fresh)
      (void)co_await core_.commit(
          Changes().erase_attachment(record.volume, record.owner).erase_intent(intent.id));
    else
      core_.work.notify();
    co_return fail(std::move(exposed.error()));
  }
  if (changed) {
    auto stored = co_await core_.commit(Changes().erase_intent(intent.id));
    if (!stored) co_return fail(std::move(stored.error()));
  }
  co_return std::move(*function);
}

Task<Result<smapi::Backend>> DatapathCalls::describe(Plan& plan, dpu::Function function, Deadline deadline) {
  smapi::Backend out;
  if (plan.owner == model::kDom0) {
    const bool chosen = plan.place.link->dpu().capabilities().identity_chosen;
    const std::string uuid = chosen ? plan.volume.id.value : plan.volume.dpu_id.value;
    auto path = co_await core_.ports.pci.block_device(function.bdf, uuid, deadline);
    if (!path) co_return fail(std::move(path.error()));
    out.implementations.push_back(smapi::Backend::BlockDevice{*path});
    co_return out;
  }
  smapi::Strings extra{{"vnvme-vdi", plan.volume.id.value},
                       {"vnvme-function", function.id.value},
                       {"vnvme-bdf", function.bdf}};
  out.implementations.push_back(smapi::Backend::XenDisk{"", std::move(extra), "9pfs"});
  out.implementations.push_back(smapi::Backend::File{core_.options.marker_path});
  co_return out;
}

Task<Result<smapi::Backend>> DatapathCalls::attach(smapi::Context context, std::string uri,
                                                   std::string domain) {
  auto planned = co_await plan(context, std::move(uri), std::move(domain));
  if (!planned) co_return fail(std::move(planned.error()));
  auto function = co_await expose(context, *planned);
  if (!function) co_return fail(std::move(function.error()));
  co_return co_await describe(*planned, std::move(*function), context.deadline);
}

Task<Result<void>> DatapathCalls::activate(smapi::Context context, std::string uri, std::string domain,
                                           bool read_only) {
  auto planned = co_await plan(context, std::move(uri), domain);
  if (!planned) co_return fail(std::move(planned.error()));
  const AttachMode mode = read_only ? AttachMode::read_only : AttachMode::read_write;
  auto allowed = model::may_activate(core_.world, planned->volume, planned->owner, mode);
  if (!allowed) co_return allowed;
  const AttachmentRecord* known = core_.world.attachment(planned->volume.id, planned->owner);
  bool attached =
      known != nullptr && known->state != AttachState::releasing && known->domains.contains(domain);
  if (!attached) {  // the broker may activate again after a deactivate, without an attach in between
    auto function = co_await expose(context, *planned);
    if (!function) co_return fail(std::move(function.error()));
    known = core_.world.attachment(planned->volume.id, planned->owner);
    if (known == nullptr) co_return fail(Errc::internal, "an attachment that was just made is not there");
  }
  AttachmentRecord record = *known;
  if (record.mode == mode && record.state == AttachState::active) co_return Result<void>{};
  record.mode = mode;
  record.state = AttachState::active;
  co_return co_await core_.commit(Changes().put(record));
}

Task<Result<void>> DatapathCalls::release(smapi::Context context, std::string uri, std::string domain) {
  auto target = smapi::parse_uri(uri);
  if (!target) {
    log::warning("asked to release what is no volume of ours", {{"uri", uri}, {"domain", domain}});
    co_return Result<void>{};
  }
  std::vector<Change> changes;
  for (const AttachmentRecord* a : core_.world.attachments_of(target->volume)) {
    bool everybody = model::domain_kind(domain) == model::DomainKind::nobody && a->owner != model::kDom0;
    if (!a->domains.contains(domain) && !everybody) continue;
    AttachmentRecord record = *a;
    if (record.owner == model::kDom0) record.domains.erase(domain);
    bool last = record.owner != model::kDom0 || record.domains.empty();
    if (last) {
      record.state = AttachState::releasing;
      record.mode = AttachMode::none;
    }
    if (a->state == record.state && a->domains == record.domains) continue;
    changes.push_back(Put<AttachmentRecord>{std::move(record)});
  }
  if (!changes.empty()) {
    auto stored = co_await core_.commit(changes);
    if (stored) core_.work.notify();
    if (!stored) {
      // Answering an error would make xenopsd leave out the detach: tried again until the disk takes it (R3).
      log::error("a release could not be recorded yet",
                 {{"volume", target->volume.value}, {"error", stored.error().describe()}});
      core_.unstored_releases.push_back({target->volume, domain});
    }
  }
  // What follows in XAPI is often the other user (a VM that starts after its disk was copied): worth a short
  // wait. The release itself began with the deactivate.
  if (context.method == "Datapath.detach" && model::domain_kind(domain) == model::DomainKind::dom0)
    co_await wait_until_released(target->volume, context.deadline.capped(seconds(2)));
  co_return Result<void>{};
}

Task<void> DatapathCalls::wait_until_released(VolumeId volume, Deadline soon) {
  while (!soon.passed() && !core_.stopping()) {
    const AttachmentRecord* a = core_.world.attachment(volume, model::kDom0);
    if (a == nullptr || a->state != AttachState::releasing) co_return;
    co_await core_.released.wait(soon);
  }
}

}  // namespace vnvme::service
