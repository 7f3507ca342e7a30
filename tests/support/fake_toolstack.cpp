#include "support/fake_toolstack.hpp"

#include <set>

namespace vnvme::test {
namespace {

template <class T>
Result<T> gone(const std::string& what) {
  return fail(Errc::not_found, "HANDLE_INVALID " + what);
}

}  // namespace

FakeToolstack::FakeToolstack(FaultPlan& plan) : plan_(plan) {
  xapi::Vm dom0;
  dom0.ref = new_ref();
  dom0.uuid = VmId("dddddddd-0000-4000-8000-000000000000");
  dom0.is_control_domain = true;
  dom0.power_state = xapi::PowerState::running;
  db.vms[dom0.ref] = dom0;
  xapi::Host host;
  host.ref = new_ref();
  host.uuid = "cccccccc-0000-4000-8000-000000000000";
  db.hosts[host.ref] = host;
}

xapi::Ref FakeToolstack::add_vm(const VmId& uuid) {
  xapi::Vm vm;
  vm.ref = new_ref();
  vm.uuid = uuid;
  vm.name_label = "vm";
  vm.domain_type = "hvm";
  vm.memory_static_max = vm.memory_dynamic_min = vm.memory_dynamic_max = 1 << 30;
  db.vms[vm.ref] = vm;
  ++version_;
  return vm.ref;
}
xapi::Ref FakeToolstack::add_sr(const SrId& id) {
  xapi::Sr sr;
  sr.ref = new_ref();
  sr.uuid = id;
  sr.type = "vnvme";
  db.srs[sr.ref] = sr;
  xapi::Pbd pbd;
  pbd.ref = new_ref();
  pbd.SR = sr.ref;
  pbd.uuid = "eeeeeeee-0000-4000-8000-" + id.value.substr(24);
  pbd.host = db.hosts.begin()->first;
  pbd.currently_attached = true;
  db.pbds[pbd.ref] = pbd;
  ++version_;
  return sr.ref;
}
xapi::Ref FakeToolstack::add_vdi(const xapi::Ref& sr, const VolumeId& volume) {
  xapi::Vdi vdi;
  vdi.ref = new_ref();
  vdi.uuid = vdi.location = volume.value;
  vdi.SR = sr;
  db.vdis[vdi.ref] = vdi;
  ++version_;
  return vdi.ref;
}
xapi::Ref FakeToolstack::add_vbd(const xapi::Ref& vm, const xapi::Ref& vdi, std::string userdevice) {
  xapi::Vbd vbd;
  vbd.ref = new_ref();
  vbd.uuid = "vbd-" + vbd.ref.value;
  vbd.VM = vm;
  vbd.VDI = vdi;
  vbd.userdevice = std::move(userdevice);
  vbd.type = "Disk";
  db.vbds[vbd.ref] = vbd;
  db.vms.at(vm).VBDs.push_back(vbd.ref);
  ++version_;
  return vbd.ref;
}
void FakeToolstack::remove_vbd(const xapi::Ref& ref) {
  auto at = db.vbds.find(ref);
  std::erase(db.vms.at(at->second.VM).VBDs, ref);
  db.vbds.erase(at);
  ++version_;
}
void FakeToolstack::remove_vm(const xapi::Ref& ref) {
  std::erase_if(db.vbds, [&](const auto& v) { return v.second.VM == ref; });
  db.vms.erase(ref);
  ++version_;
}
std::string FakeToolstack::pci(const xapi::Ref& ref) const {
  const auto& config = db.vms.at(ref).other_config;
  auto at = config.find("pci");
  return at == config.end() ? "" : at->second;
}

xapi::Map* FakeToolstack::map_of(const xapi::Ref& ref, xapi::Field field) {
  auto vdi = db.vdis.find(ref);
  if (vdi != db.vdis.end() && field == xapi::Field::other_config) return &vdi->second.other_config;
  auto vm = db.vms.find(ref);
  if (vm == db.vms.end()) return nullptr;
  return field == xapi::Field::blocked_operations ? &vm->second.blocked_operations : &vm->second.other_config;
}

Task<Result<xapi::EventBatch>> FakeToolstack::events(std::vector<xapi::Class>, xapi::Cursor,
                                                     MonoClock::duration, Deadline) {
  co_return fail(Errc::not_supported, "the fake is its own watch");
}
Task<Result<xapi::Record>> FakeToolstack::get_record(xapi::Class, xapi::Ref ref, Deadline) {
  return run_step(plan_, "xapi get_record", [this, ref]() -> Result<xapi::Record> {
    auto at = db.vms.find(ref);
    if (at == db.vms.end()) return gone<xapi::Record>(ref.value);
    return xapi::Record(at->second);
  });
}
Task<Result<xapi::Ref>> FakeToolstack::get_by_uuid(xapi::Class, std::string uuid, Deadline) {
  return run_step(plan_, "xapi get_by_uuid", [this, uuid]() -> Result<xapi::Ref> {
    const xapi::Vm* found = db.vm(VmId(uuid));
    if (found == nullptr) return gone<xapi::Ref>(uuid);
    return found->ref;
  });
}
Task<Result<std::vector<xapi::Record>>> FakeToolstack::get_all_records_where(xapi::Class, std::string,
                                                                             Deadline) {
  co_return fail(Errc::not_supported, "not asked by the services");
}
Task<Result<xapi::PowerState>> FakeToolstack::get_power_state(xapi::Ref ref, Deadline) {
  return run_step(plan_, "xapi get_power_state", [this, ref]() -> Result<xapi::PowerState> {
    auto at = db.vms.find(ref);
    if (at == db.vms.end()) return gone<xapi::PowerState>(ref.value);
    return started_behind ? xapi::PowerState::running : at->second.power_state;
  });
}
Task<Result<std::vector<std::string>>> FakeToolstack::get_allowed_VBD_devices(xapi::Ref ref, Deadline) {
  return run_step(plan_, "xapi get_allowed_VBD_devices", [this, ref]() -> Result<std::vector<std::string>> {
    std::set<std::string> used;
    for (const auto& [r, vbd] : db.vbds)
      if (vbd.VM == ref) used.insert(vbd.userdevice);
    std::vector<std::string> free;
    for (int i = 0; i < 16; ++i)
      if (!used.contains(std::to_string(i))) free.push_back(std::to_string(i));
    return free;
  });
}
Task<Result<void>> FakeToolstack::set_key(xapi::Class, xapi::Ref ref, xapi::Field field, std::string key,
                                          std::string value, Deadline) {
  return run_step(plan_, "xapi set_key " + key, [this, ref, field, key, value]() -> Result<void> {
    if (refuse_writes) return fail(Errc::io, "INTERNAL_ERROR");
    xapi::Map* map = map_of(ref, field);
    if (map == nullptr) return gone<void>(ref.value);
    (*map)[key] = value;
    if (key == "pci") pci_history.emplace_back(db.vms.at(ref).uuid.value, value);
    ++writes, ++version_;
    return {};
  });
}
Task<Result<void>> FakeToolstack::remove_key(xapi::Class, xapi::Ref ref, xapi::Field field, std::string key,
                                             Deadline) {
  return run_step(plan_, "xapi remove_key " + key, [this, ref, field, key]() -> Result<void> {
    if (refuse_writes) return fail(Errc::io, "INTERNAL_ERROR");
    xapi::Map* map = map_of(ref, field);
    if (map == nullptr) return gone<void>(ref.value);
    map->erase(key);
    if (key == "pci") pci_history.emplace_back(db.vms.at(ref).uuid.value, "");
    ++writes, ++version_;
    return {};
  });
}
Task<Result<void>> FakeToolstack::set_userdevice(xapi::Ref ref, std::string userdevice, Deadline) {
  return run_step(plan_, "xapi set_userdevice", [this, ref, userdevice]() -> Result<void> {
    auto at = db.vbds.find(ref);
    if (at == db.vbds.end()) return gone<void>(ref.value);
    at->second.userdevice = userdevice;
    ++version_;
    return {};
  });
}
Task<Result<void>> FakeToolstack::plug_pbd(xapi::Ref ref, Deadline) {
  return run_step(plan_, "xapi plug_pbd", [this, ref]() -> Result<void> {
    auto at = db.pbds.find(ref);
    if (at == db.pbds.end()) return gone<void>(ref.value);
    ++plugs;
    if (refuse_plugs) return fail(Errc::io, "SR_BACKEND_FAILURE");
    at->second.currently_attached = true;
    ++version_;
    return {};
  });
}
Task<Result<void>> FakeToolstack::scan_sr(xapi::Ref, Deadline) {
  co_return Result<void>{};
}
Task<Result<xapi::Ref>> FakeToolstack::create_message(xapi::Message message, Deadline) {
  return run_step(plan_, "xapi create_message", [this, message]() -> Result<xapi::Ref> {
    if (refuse_writes) return fail(Errc::io, "INTERNAL_ERROR");
    messages.push_back(message);
    return new_ref();
  });
}

Task<Result<xapi::Delta>> FakeToolstack::next(Deadline deadline) {
  while (up && seen_ == version_ && !deadline.passed())
    co_await service::pause_for(std::chrono::milliseconds(50));
  auto read = [this]() -> Result<void> {
    if (!up) return fail(Errc::unreachable, "XAPI is away");
    picture_ = db;
    seen_ = version_;
    return {};
  };
  auto done = co_await run_step(plan_, "xapi event.from", read);
  if (!done) co_return fail(std::move(done.error()));
  xapi::Delta delta;
  delta.whole = true;
  co_return delta;
}

}  // namespace vnvme::test
