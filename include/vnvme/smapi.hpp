// What SMAPIv3 asks of a storage plugin, as values. src/smapi turns JSON into
// these and back; src/service implements Handler. Field names and meanings are
// those of xapi-storage (generator/lib/control.ml, data.ml, plugin.ml).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "vnvme/ids.hpp"
#include "vnvme/result.hpp"
#include "vnvme/time.hpp"
#include "vnvme/units.hpp"

namespace vnvme::smapi {

using Strings = std::map<std::string, std::string>;

struct Context {
  RequestId request;
  std::string method;   // "Volume.create"
  std::string sr_type;  // "vnvme" or "vnvme-raw": the type whose script was run; empty for Datapath.*
  Deadline deadline;    // the daemon's own, before the front-end's
};

struct SrStat {
  SrId sr;
  std::string name, description;
  Bytes free_space, total_space;
  std::string health = "Healthy";  // Healthy | Recovering | Unreachable | Unavailable
  std::string health_text;
};

struct Probe {
  Strings configuration;
  bool complete = false;
  Strings extra_info;
  std::optional<SrStat> sr;
};

struct Volume {
  VolumeId key;
  SrId sr;
  std::string name, description;
  bool read_write = true;
  bool sharable = false;
  Bytes virtual_size, physical_utilisation;
  Strings keys;
};

// Datapath.attach's answer. A guest gets XenDisk + File (design: marker back-end), dom0 a BlockDevice.
struct Backend {
  struct XenDisk {
    std::string params;
    Strings extra;
    std::string backend_type;
  };
  struct BlockDevice {
    std::string path;
  };
  struct File {
    std::string path;
  };
  std::vector<std::variant<XenDisk, BlockDevice, File>> implementations;
};

// Idempotent unless said otherwise. SrId is what SR.attach returned.
class Handler {
 public:
  virtual ~Handler() = default;

  // The answer that this request already got, when it is one of those that must not run twice (R1).
  virtual std::optional<std::string> recall(const RequestId&) = 0;
  // The front-end is about to print `answer` for a request whose method needs the word (R5): makes the volume
  // visible and remembers the answer, durably. An error: print it instead; the volume is collected.
  virtual Task<Result<void>> printing(Context, std::string answer) = 0;
  // The front-end went away without the word: the volume may be collected.
  virtual void abandoned(const RequestId&) = 0;

  virtual Task<Result<std::vector<Probe>>> sr_probe(Context, Strings configuration) = 0;
  virtual Task<Result<Strings>> sr_create(Context, SrId, Strings configuration, std::string name,
                                          std::string description) = 0;
  virtual Task<Result<SrId>> sr_attach(Context, Strings configuration) = 0;
  virtual Task<Result<void>> sr_detach(Context, SrId) = 0;
  virtual Task<Result<void>> sr_destroy(Context, SrId) = 0;
  virtual Task<Result<SrStat>> sr_stat(Context, SrId) = 0;
  virtual Task<Result<std::vector<Volume>>> sr_ls(Context, SrId) = 0;
  virtual Task<Result<void>> sr_set_name(Context, SrId, std::string) = 0;
  virtual Task<Result<void>> sr_set_description(Context, SrId, std::string) = 0;

  // create, snapshot, clone: each call makes a new volume; they need the word.
  virtual Task<Result<Volume>> volume_create(Context, SrId, std::string name, std::string description,
                                             Bytes size, bool sharable) = 0;
  virtual Task<Result<Volume>> volume_snapshot(Context, SrId, VolumeId) = 0;
  virtual Task<Result<Volume>> volume_clone(Context, SrId, VolumeId) = 0;
  virtual Task<Result<void>> volume_destroy(Context, SrId, VolumeId) = 0;
  virtual Task<Result<Volume>> volume_stat(Context, SrId, VolumeId) = 0;
  virtual Task<Result<void>> volume_set_name(Context, SrId, VolumeId, std::string) = 0;
  virtual Task<Result<void>> volume_set_description(Context, SrId, VolumeId, std::string) = 0;
  virtual Task<Result<void>> volume_set(Context, SrId, VolumeId, std::string key, std::string value) = 0;
  virtual Task<Result<void>> volume_unset(Context, SrId, VolumeId, std::string key) = 0;
  virtual Task<Result<void>> volume_resize(Context, SrId, VolumeId, Bytes new_size) = 0;
  virtual Task<Result<void>> volume_revert(Context, SrId, VolumeId snapshot, VolumeId volume) = 0;

  // uri: "vnvme:///<sr uuid>/<volume uuid>". domain: decimal domid, or dom0's forms ("u0_...", "u0-...",
  // "0").
  virtual Task<Result<Backend>> datapath_attach(Context, std::string uri, std::string domain) = 0;
  virtual Task<Result<void>> datapath_activate(Context, std::string uri, std::string domain,
                                               bool read_only) = 0;
  // These two never fail (R3); they answer at once and queue what cannot be done now.
  virtual Task<Result<void>> datapath_deactivate(Context, std::string uri, std::string domain) = 0;
  virtual Task<Result<void>> datapath_detach(Context, std::string uri, std::string domain) = 0;
};

// "vnvme:///<sr>/<volume>"
std::string make_uri(const SrId&, const VolumeId&);
struct Target {
  SrId sr;
  VolumeId volume;
};
Result<Target> parse_uri(const std::string& uri);

}  // namespace vnvme::smapi
