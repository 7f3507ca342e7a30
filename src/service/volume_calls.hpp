// Volume.*: everything about one volume that is not its attachment.
// Creation is in two halves: make() leaves a Pending behind, and the word
// (R5) or its absence decides what becomes of it.
#pragma once
#include "service/place.hpp"

namespace vnvme::service {

class VolumeCalls {
 public:
  explicit VolumeCalls(Core& core) : core_(core) {}

  Task<Result<smapi::Volume>> create(smapi::Context, SrId, std::string name, std::string description,
                                     Bytes size, bool sharable);
  Task<Result<void>> destroy(smapi::Context, SrId, VolumeId);
  Task<Result<smapi::Volume>> stat(smapi::Context, SrId, VolumeId);
  Task<Result<void>> set_name(smapi::Context, SrId, VolumeId, std::string);
  Task<Result<void>> set_description(smapi::Context, SrId, VolumeId, std::string);
  Task<Result<void>> set(smapi::Context, SrId, VolumeId, std::string key, std::string value);
  Task<Result<void>> unset(smapi::Context, SrId, VolumeId, std::string key);
  Task<Result<void>> resize(smapi::Context, SrId, VolumeId, Bytes new_size);

  // The word: makes the volume visible and remembers the answer, in one commit.
  Task<Result<void>> printing(smapi::Context, std::string answer);
  // No word will come: the volume is collected in the background.
  void abandoned(const RequestId&);

 private:
  // Sends the resize and believes what the DPU shows afterwards; lane and guard are the caller's.
  Task<Result<void>> grow_in_lane(smapi::Context context, Place place, VolumeRecord volume,
                                  IntentRecord intent, Bytes new_size);
  // The first lvol of a volume that was made with 0 bytes; the caller holds its guard.
  Task<Result<void>> grow_from_nothing(smapi::Context context, Place place, VolumeRecord volume, Bytes size);
  // Reads, changes and commits one visible volume under its guard.
  Task<Result<void>> edit(smapi::Context context, SrId sr, VolumeId id,
                          std::function<Result<void>(VolumeRecord&)> change);

  Core& core_;
};

// Volume.snapshot, clone and revert.
class LineageCalls {
 public:
  explicit LineageCalls(Core& core) : core_(core) {}
  Task<Result<smapi::Volume>> snapshot(smapi::Context, SrId, VolumeId);
  Task<Result<smapi::Volume>> clone(smapi::Context, SrId, VolumeId);
  Task<Result<void>> revert(smapi::Context, SrId, VolumeId snapshot, VolumeId volume);

 private:
  struct Base {
    DpuVolumeId id;    // the snapshot to clone from
    std::string made;  // name of the hidden snapshot if this call makes it; empty when one is re-used
    VolumeId volume;   // its record
  };
  // The snapshot to clone `source` from: itself, a hidden one that is still equal, or a new one.
  Result<Base> choose_base(const Place& place, const VolumeRecord& source) const;
  // The hidden snapshot below it to which nothing was written since, by what was seen last, when nobody could
  // write now; nullptr when there is none.
  [[nodiscard]] const VolumeRecord* equal_base(const Place& place, const VolumeRecord& source) const;
  // A guest writes without our knowing: before a hidden snapshot is taken for equal the DPU is asked. With
  // the guard of the volume in hand nobody attaches it meanwhile.
  Task<Result<void>> look_at_source(Place place, VolumeRecord source, Deadline deadline);
  // Chooses all names of a clone, before its first effect (C1), and the records to commit for them.
  Result<Base> plan_clone(const Place& place, const VolumeRecord& source, VolumeRecord& volume,
                          IntentRecord& intent, std::vector<Change>& changes);
  Task<Result<smapi::Volume>> clone_of(smapi::Context context, Place place, VolumeRecord source);
  // The lvol that shall become the volume's: a clone of `from`, at least as large as the volume is now.
  Task<Result<dpu::DpuVolume>> replacement(Place place, VolumeRecord volume, VolumeRecord from,
                                           std::string name, Deadline deadline);

  Core& core_;
};

}  // namespace vnvme::service
