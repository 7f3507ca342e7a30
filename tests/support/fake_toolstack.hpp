// XAPI as the services see it (include/vnvme/xapi.hpp): a database in memory,
// whose calls are steps of the fault plan. Outlives the daemon, as XAPI does.
#pragma once
#include "support/fault_plan.hpp"
#include "vnvme/xapi.hpp"

namespace vnvme::test {

class FakeToolstack final : public xapi::Xapi, public xapi::Watch {
 public:
  explicit FakeToolstack(FaultPlan& plan);

  // What tools do. Every change is an event.
  xapi::Ref add_vm(const VmId& uuid);
  xapi::Ref add_sr(const SrId& sr);
  xapi::Ref add_vdi(const xapi::Ref& sr, const VolumeId& volume);
  xapi::Ref add_vbd(const xapi::Ref& vm, const xapi::Ref& vdi, std::string userdevice = "4");
  void remove_vbd(const xapi::Ref& vbd);
  void remove_vm(const xapi::Ref& vm);
  xapi::Vm& vm(const xapi::Ref& ref) { return ++version_, db.vms.at(ref); }
  xapi::Vbd& vbd(const xapi::Ref& ref) { return ++version_, db.vbds.at(ref); }
  xapi::Vdi& vdi(const xapi::Ref& ref) { return ++version_, db.vdis.at(ref); }
  [[nodiscard]] std::string pci(const xapi::Ref& ref) const;
  void touch() { ++version_; }
  xapi::Pbd& pbd_of(const xapi::Ref& sr) {
    ++version_;
    return std::find_if(db.pbds.begin(), db.pbds.end(), [&](auto& p) { return p.second.SR == sr; })->second;
  }
  // A new daemon knows nothing.
  void forget() { seen_ = 0, picture_ = {}; }

  Task<Result<xapi::EventBatch>> events(std::vector<xapi::Class>, xapi::Cursor, MonoClock::duration,
                                        Deadline) override;
  Task<Result<xapi::Record>> get_record(xapi::Class, xapi::Ref, Deadline) override;
  Task<Result<xapi::Ref>> get_by_uuid(xapi::Class, std::string, Deadline) override;
  Task<Result<std::vector<xapi::Record>>> get_all_records_where(xapi::Class, std::string, Deadline) override;
  Task<Result<xapi::PowerState>> get_power_state(xapi::Ref, Deadline) override;
  Task<Result<std::vector<std::string>>> get_allowed_VBD_devices(xapi::Ref, Deadline) override;
  Task<Result<void>> set_key(xapi::Class, xapi::Ref, xapi::Field, std::string, std::string,
                             Deadline) override;
  Task<Result<void>> remove_key(xapi::Class, xapi::Ref, xapi::Field, std::string, Deadline) override;
  Task<Result<void>> set_userdevice(xapi::Ref, std::string, Deadline) override;
  Task<Result<void>> plug_pbd(xapi::Ref, Deadline) override;
  Task<Result<void>> scan_sr(xapi::Ref, Deadline) override;
  Task<Result<xapi::Ref>> create_message(xapi::Message, Deadline) override;
  [[nodiscard]] std::uint64_t session() const override { return 1; }
  [[nodiscard]] std::string trouble() const override { return up ? "" : "XAPI is away"; }
  [[nodiscard]] const std::string& endpoint() const override { return endpoint_; }

  Task<Result<xapi::Delta>> next(Deadline deadline) override;
  [[nodiscard]] const xapi::Picture& picture() const override { return picture_; }
  [[nodiscard]] bool current() const override { return seen_ != 0; }

  xapi::Picture db;
  bool up = true;
  bool refuse_writes = false, refuse_plugs = false;
  std::size_t plugs = 0;        // of PBDs that were asked for
  bool started_behind = false;  // VMs run already, though no event has told
  std::vector<xapi::Message> messages;
  std::size_t writes = 0;                                        // of any key
  std::vector<std::pair<std::string, std::string>> pci_history;  // VM uuid, value ("" removed)

 private:
  xapi::Ref new_ref() { return xapi::Ref("OpaqueRef:" + std::to_string(++refs_)); }
  xapi::Map* map_of(const xapi::Ref& ref, xapi::Field field);

  FaultPlan& plan_;
  xapi::Picture picture_;
  std::uint64_t version_ = 1, seen_ = 0, refs_ = 0;
  std::string endpoint_ = "fake-xapi";
};

}  // namespace vnvme::test
