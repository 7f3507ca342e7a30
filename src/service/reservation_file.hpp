// Keeps /run/vnvme/reservations right (include/vnvme/reservation_text.hpp): the
// file from which the vm-pre-start hook answers. It is told of every commit of
// a reservation and of every function that a DPU shows, and replaces the file
// at once when something changed, so before anybody can act on the change: the
// caller of the commit, and XAPI's list of functions, come later.
//
// Failing to write it never fails what was told. Then the former file stays,
// which errs on refusing: a VM that just got its function does not start, and
// a VM whose reservation just ended may be refused. It is tried again whenever
// something is told, at least every 30 s while a DPU answers.
#pragma once
#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "vnvme/dpu.hpp"
#include "vnvme/events.hpp"
#include "vnvme/records.hpp"
#include "vnvme/reservation_text.hpp"

namespace vnvme::service {

// What is known of the functions of one DPU.
struct SeenFunctions {
  struct Place {
    std::optional<gate::PciAddress> address;  // nothing: this host does not see it
    bool ready = false;
  };
  bool listed = false;  // in the life of this vnvmed
  std::map<FunctionId, Place> functions;
};
using AllSeen = std::map<DpuId, SeenFunctions>;
using AllReserved = std::map<std::pair<VmId, DpuId>, FunctionId>;

// Pure. A reservation whose holder is no VM's uuid is nobody's. A function that is ready and has no address
// has no PCI side (NVMe over TCP): its VM is not held up for it.
gate::Reservations reservations_for_gate(const AllReserved& reserved, const AllSeen& seen, std::string boot);

class ReservationFile {
 public:
  // path "": there is no file, and all calls do nothing. `boot` is the host's boot id.
  ReservationFile(std::string path, std::string boot, EventLog& events)
      : path_(std::move(path)), boot_(std::move(boot)), events_(events) {}

  // Before anything else: the store's reservations. Where functions were, vnvmed may know from the file that
  // an earlier one wrote in this boot, though their DPU does not answer now; of DPUs in neither list nothing
  // is taken over.
  void begin(const std::vector<ReservationRecord>& reserved, std::set<DpuId> dpus);
  // Durable changes; those of no reservation are ignored.
  void committed(const std::vector<Change>& changes);
  // Functions of that DPU, foreign ones too; all, or those that it had when the listing began.
  void listed(const DpuId& dpu, const std::vector<dpu::Function>& functions, bool all = true);
  void opened(const DpuId& dpu, const dpu::Function& function);

 private:
  void note(const DpuId& dpu, const dpu::Function& function);
  void write();
  // An errno; 0: written.
  int replace(const std::string& text);
  [[nodiscard]] bool is_as_written() const;
  void complain(const std::string& why);

  const std::string path_, boot_;
  EventLog& events_;
  AllReserved reserved_;
  AllSeen seen_;
  std::string written_;  // empty: nothing was
  ino_t inode_ = 0;
  std::string trouble_;
};

}  // namespace vnvme::service
