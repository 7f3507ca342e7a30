// What a store holds, in memory, with the rules that every store keeps. The
// SQLite store has the same rules as constraints of its tables; a test runs
// both side by side.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vnvme/records.hpp"
#include "vnvme/result.hpp"

namespace vnvme::state {

// Bounds of one commit and of one text in it.
inline constexpr std::size_t kMaxChanges = 1u << 17;
inline constexpr std::size_t kMaxText = 1u << 20;
inline constexpr std::size_t kMaxEntries = 4096;  // of one map, set or list

class Contents {
 public:
  // Rules are looked at change by change, in order, as SQLite looks at its constraints: a commit that hands a
  // volume from one owner to the next releases first. After an error the contents are half changed: work on a
  // copy.
  Result<void> apply(const std::vector<Change>& changes);
  // Volumes in order of seq, intents in order of id, all others in order of their keys.
  [[nodiscard]] Snapshot snapshot() const;

 private:
  struct Applier;
  std::map<SrId, SrRecord> srs_;
  std::map<VolumeId, VolumeRecord> volumes_;
  std::map<std::pair<VolumeId, std::string>, AttachmentRecord> attachments_;
  std::map<std::pair<VmId, DpuId>, ReservationRecord> reservations_;
  std::map<std::pair<std::string, VolumeId>, NsidRecord> nsids_;
  std::map<std::uint64_t, IntentRecord> intents_;
  std::map<RequestId, RequestRecord> requests_;
  std::map<std::string, std::string> notes_;
};

// Texts are UTF-8 within kMaxText, lists within kMaxEntries, and there are not too many changes.
Result<void> check_form(const std::vector<Change>& changes);

// I3, in words that name the volume and both owners.
Error owner_conflict(const std::string& volume, const std::string& owner);
// I4: a function is reserved for one VM.
Error function_conflict(const std::string& function, const std::string& vm);

}  // namespace vnvme::state
