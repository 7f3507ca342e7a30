// What is wanted, in memory: the store's records, changed only by apply() with
// what was committed. Pure: no clock, no coroutine, no log.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vnvme/records.hpp"

namespace vnvme::model {

class World {
 public:
  using AttachmentKey = std::pair<VolumeId, std::string>;  // volume, owner
  using ReservationKey = std::pair<VmId, DpuId>;

  World() = default;
  explicit World(Snapshot snapshot);
  World(World&&) = default;  // its indexes point into its maps
  World& operator=(World&&) = default;

  void apply(const Change& change);
  // Grows with each change: who has looked at everything need not look again before.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  void apply(const std::vector<Change>& changes) {
    for (const Change& c : changes) apply(c);
  }

  [[nodiscard]] const SrRecord* sr(const SrId&) const;
  [[nodiscard]] const VolumeRecord* volume(const VolumeId&) const;
  // The volume as XAPI may see it: ready and not hidden.
  [[nodiscard]] const VolumeRecord* visible(const SrId&, const VolumeId&) const;
  [[nodiscard]] std::vector<const VolumeRecord*> volumes_of(const SrId&) const;  // in order of creation
  [[nodiscard]] std::vector<const AttachmentRecord*> attachments_of(const VolumeId&) const;
  [[nodiscard]] const AttachmentRecord* attachment(const VolumeId&, const std::string& owner) const;
  [[nodiscard]] const ReservationRecord* reservation(const VmId&, const DpuId&) const;
  [[nodiscard]] bool has_intent(const VolumeId&) const;
  // The NSID that the owner's guest knows this volume by; else the lowest that no volume of the owner has
  // had.
  [[nodiscard]] std::uint32_t nsid_for(const std::string& owner, const VolumeId&) const;
  // All owners that have known this volume by a number.
  [[nodiscard]] std::vector<std::string> owners_with_nsid(const VolumeId&) const;
  [[nodiscard]] const RequestRecord* request(const RequestId&) const;
  [[nodiscard]] std::uint64_t next_intent_id() { return next_intent_++; }
  [[nodiscard]] std::uint64_t next_seq() { return next_seq_++; }
  // Which remembered requests to forget so that at most `most` stay: the oldest first.
  [[nodiscard]] std::vector<RequestId> surplus_requests(std::size_t most) const;

  [[nodiscard]] const std::map<SrId, SrRecord>& srs() const { return srs_; }
  [[nodiscard]] const std::map<VolumeId, VolumeRecord>& volumes() const { return volumes_; }
  [[nodiscard]] const std::map<AttachmentKey, AttachmentRecord>& attachments() const { return attachments_; }
  [[nodiscard]] const std::map<ReservationKey, ReservationRecord>& reservations() const {
    return reservations_;
  }
  [[nodiscard]] const std::map<std::uint64_t, IntentRecord>& intents() const { return intents_; }
  [[nodiscard]] const std::map<std::string, std::string>& notes() const { return notes_; }

 private:
  void put(const SrRecord& r) { srs_[r.id] = r; }
  void put(const VolumeRecord& r);
  void put(const AttachmentRecord& r) { attachments_[{r.volume, r.owner}] = r; }
  void put(const ReservationRecord& r) { reservations_[{r.vm, r.dpu}] = r; }
  void put(const NsidRecord& r) { nsids_[{r.owner, r.volume}] = r.nsid; }
  void put(const IntentRecord& r);
  void put(const RequestRecord& r);
  void erase(const VolumeId&);

  std::map<SrId, SrRecord> srs_;
  std::map<VolumeId, VolumeRecord> volumes_;
  // seq -> volume: listing one SR walks neither the others nor the tree of all.
  std::map<SrId, std::map<std::uint64_t, const VolumeRecord*>> by_sr_;
  std::map<AttachmentKey, AttachmentRecord> attachments_;
  std::map<ReservationKey, ReservationRecord> reservations_;
  std::map<std::pair<std::string, VolumeId>, std::uint32_t> nsids_;
  std::map<std::uint64_t, IntentRecord> intents_;
  std::map<RequestId, RequestRecord> requests_;
  std::vector<RequestId> request_order_;
  std::map<std::string, std::string> notes_;
  std::uint64_t version_ = 0;
  std::uint64_t next_intent_ = 1;
  std::uint64_t next_seq_ = 1;
};

}  // namespace vnvme::model
