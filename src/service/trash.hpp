// Frees what was destroyed, apart from the housekeeper's rounds: erasing may
// take hours. An lvol is cut down piece by piece from its end, for SPDK clears
// what a shrink cuts off as it clears what it deletes (lib/blob/blobstore.c:
// clusters beyond the new size are cleared by the blob's clear_method). So the
// pool's lane is free between two pieces, progress is known, and what a crash
// interrupts goes on where it stood: the size on the DPU tells where.
#pragma once
#include <map>
#include <set>

#include "service/link.hpp"

namespace vnvme::service {

class Trash {
 public:
  explicit Trash(Core& core) : core_(core) {}
  // Runs until Core::stop().
  Task<void> run();

  // What is being freed right now, for `vnvme status`.
  struct Freeing {
    Bytes total, done;
    MonoClock::time_point since;
  };
  [[nodiscard]] const std::map<VolumeId, Freeing>& freeing() const { return freeing_; }

 private:
  Task<bool> round();  // true when there is nothing left that could be done now
  Task<bool> free(VolumeRecord volume, Link& link, SrRecord sr);
  // What the DPU has of it, renamed to a trash name. Nothing: it is gone, or it lives on as a hidden
  // snapshot.
  Task<Result<std::optional<dpu::DpuVolume>>> look(VolumeRecord volume, Link& link, SrRecord sr);
  Task<Result<dpu::DpuVolume>> cut_down(VolumeRecord volume, dpu::DpuVolume lvol, Link& link, SrRecord sr);
  Task<Result<void>> remove(VolumeRecord volume, dpu::DpuVolume lvol, Link& link, SrRecord sr);
  void complain(const VolumeId& id, const Error& why);

  Core& core_;
  std::map<VolumeId, Freeing> freeing_;
  std::optional<std::uint64_t> empty_;  // the records' version with which there was no trash
  std::set<VolumeId> told_;  // whose lvol somebody else renamed: said once, looked at again and again
  std::map<VolumeId, std::string> complaints_;  // why it cannot be freed yet, as the log has it
};

}  // namespace vnvme::service
