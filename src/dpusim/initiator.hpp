// bdev_nvme_attach_controller: namespaces of others as drives. There is no network between simulators: the
// only subsystems that can be reached are this target's own, on addresses where it listens.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dpusim/params.hpp"
#include "dpusim/rpc.hpp"

namespace vnvme::sim {

class Target;
struct Bdev;

class Initiator {
 public:
  explicit Initiator(Target& target) : target_(target) {}
  void add_methods();
  // A namespace that was exported is so no longer: the drive made of it disappears.
  void namespace_gone(const std::string& nqn, std::uint64_t nsid);
  void subsystem_gone(const std::string& nqn);
  [[nodiscard]] Json controllers_of(const std::string& nqn) const;
  [[nodiscard]] Json qpairs_of(const std::string& nqn) const;

 private:
  struct Path {
    std::string trtype, adrfam, traddr, trsvcid, nqn;
    std::uint64_t cntlid = 0;
    std::map<std::uint64_t, std::string> bdevs;  // nsid -> bdev
  };
  Reply attach(const Json* params);
  Reply list(const Json* params) const;
  Reply detach(const Json* params);
  std::string add_drive(const std::string& controller, const Path& path, std::uint64_t nsid, Bdev& exported);
  [[nodiscard]] Json trid(const Path& path) const;
  Target& target_;
  std::map<std::string, Path> controllers_;
  std::uint64_t next_cntlid_ = 1;
};

}  // namespace vnvme::sim
