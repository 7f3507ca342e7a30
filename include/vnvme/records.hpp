// What vnvme remembers: the records of the store. "Wanted" only; what really
// is comes from the DPU and the host each time (the two are never mixed).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "vnvme/ids.hpp"
#include "vnvme/units.hpp"

namespace vnvme {

enum class SrState { creating, ready, destroying };
enum class VolumeState {
  creating,  // intent made, never visible: collected when its creation is not confirmed (R5)
  ready,     // visible to XAPI
  trash,     // destroyed for XAPI, being wiped and freed in the background
};
enum class VolumeKind {
  data,      // a writable volume
  snapshot,  // made by Volume.snapshot, read-only, visible
  base,      // hidden snapshot below clones; never visible to XAPI
};
enum class Provisioning { thin, thick };
enum class Wipe { zero, unmap, none };

struct SrRecord {
  SrId id;
  std::string type;  // "vnvme" or "vnvme-raw"
  std::string name, description;
  SrState state = SrState::creating;
  DpuId dpu;
  PoolId pool;                       // empty until the pool was seen
  std::string pool_name;             // chosen in the intent
  std::vector<std::string> drives;   // DPU names of the drives, in order
  std::vector<std::string> serials;  // their serials, same order
  std::string raid_level;            // empty: one drive, no RAID
  std::string raid_name;
  std::uint32_t strip_kib = 0;
  Provisioning provisioning = Provisioning::thin;
  Wipe wipe = Wipe::zero;
  bool attached = false;
  // Last known; what SR.stat answers while the DPU is away.
  Bytes total, free, cluster;
  bool adopted = false;  // rebuilt from the DPU: names and keys not yet accepted (C5)
};

struct VolumeRecord {
  VolumeId id;
  SrId sr;
  std::string name, description;
  std::map<std::string, std::string> keys;  // Volume.set / unset
  VolumeKind kind = VolumeKind::data;
  VolumeState state = VolumeState::creating;
  Bytes size;
  std::string dpu_name;  // the lvol's name as last sent; the id inside it is what identifies it
  DpuVolumeId dpu_id;    // learned at creation; empty before, and for volumes of 0 bytes
  VolumeId parent;  // the snapshot or base it was cloned from, the volume it was snapshot from: lineage only
  bool sharable = false;
  bool rename_pending = false;  // the lvol's name lags behind the label
  std::uint64_t seq = 0;        // order of creation
};

enum class AttachState { attached, active, releasing };
enum class AttachMode { none, read_only, read_write };

// One owner's hold on a volume. Owner "dom0" counts as one owner with a set of attachers (I3).
struct AttachmentRecord {
  VolumeId volume;
  std::string owner;              // "vm:<uuid>" or "dom0"
  std::set<std::string> domains;  // SMAPI `domain` strings that attached it: "17", "u0_vbd_0_xvda"
  FunctionId function;
  DpuId dpu;
  std::uint32_t nsid = 0;
  AttachMode mode = AttachMode::none;
  AttachState state = AttachState::attached;
  std::string boot_id;  // of the host, at attach (C6)
  std::string device;   // dom0 only: the block device answered
};

struct ReservationRecord {
  VmId vm;  // or nobody yet: a spare function (model/names.hpp)
  DpuId dpu;
  FunctionId function;  // empty: about to be opened
  std::string serial;
};

// NSID of a volume in a VM, for ever: guests find disks by it.
struct NsidRecord {
  std::string owner;
  VolumeId volume;
  std::uint32_t nsid = 0;
};

enum class IntentKind {
  sr_create,
  sr_destroy,
  create,
  snapshot,
  clone,
  resize,
  revert,
  destroy,
  merge_base,
  expose,
  unexpose,
};

// Written durably before the first external effect (C1); erased with the result in one commit.
struct IntentRecord {
  std::uint64_t id = 0;
  IntentKind kind = IntentKind::create;
  SrId sr;
  VolumeId volume;                           // the object it is about
  std::map<std::string, std::string> facts;  // names and sizes chosen, state seen before
  RequestId request;
};

// Answers of calls that are not idempotent by themselves (create, snapshot, clone).
struct RequestRecord {
  RequestId id;
  std::string method;
  std::string answer;  // the JSON value that was, or will be, printed
  std::int64_t wall_seconds = 0;
};

template <class T>
struct Put {
  T record;
};
template <class Key>
struct Erase {
  Key key;
};
struct EraseAttachment {
  VolumeId volume;
  std::string owner;
};
struct EraseReservation {
  VmId vm;
  DpuId dpu;
};
struct EraseIntent {
  std::uint64_t id = 0;
};
struct EraseNsid {
  std::string owner;
  VolumeId volume;
};
// A flat note that survives restarts, e.g. "measured wipe of pool X".
struct PutNote {
  std::string key, value;
};
struct EraseNote {
  std::string key;
};

using Change =
    std::variant<Put<SrRecord>, Erase<SrId>, Put<VolumeRecord>, Erase<VolumeId>, Put<AttachmentRecord>,
                 EraseAttachment, Put<ReservationRecord>, EraseReservation, Put<NsidRecord>, EraseNsid,
                 Put<IntentRecord>, EraseIntent, Put<RequestRecord>, Erase<RequestId>, PutNote, EraseNote>;

struct Snapshot {
  std::vector<SrRecord> srs;
  std::vector<VolumeRecord> volumes;
  std::vector<AttachmentRecord> attachments;
  std::vector<ReservationRecord> reservations;
  std::vector<NsidRecord> nsids;
  std::vector<IntentRecord> intents;  // in order of id
  std::vector<RequestRecord> requests;
  std::map<std::string, std::string> notes;
  bool fresh = false;  // there was no store: it has just been made (C5: it may have been lost)
};

}  // namespace vnvme
