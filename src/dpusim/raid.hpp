// RAID arrays: configuring until all members are there, then a bdev.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dpusim/bdev.hpp"
#include "dpusim/rpc.hpp"

namespace vnvme::sim {

class Target;

struct RaidBase {
  std::string name, uuid;
  bool configured = false;
  bool missing = false;  // taken out; its place is empty
  std::uint64_t blocks = 0;
};

struct Raid {
  std::string name, uuid, level;
  std::uint64_t strip_kb = 0, block_size = 0, offset_blocks = 0, data_blocks = 0;
  bool superblock = false, online = false;
  std::vector<RaidBase> bases;
  std::string rebuilding;  // name of the base that is being filled
  RaidDevice* device = nullptr;
  [[nodiscard]] std::size_t discovered() const;
};

class Raids {
 public:
  explicit Raids(Target& target) : target_(target) {}
  Reply create(const Json* params);
  Reply list(const Json* params) const;
  Reply remove(const Json* params);
  Reply add_base(const Json* params);
  Reply remove_base(const Json* params);
  // A bdev appeared: an array may wait for it, or it may carry a superblock.
  void examine(Bdev& bdev);
  // A bdev goes: its array is degraded or gone.
  void forget(Bdev& bdev);
  [[nodiscard]] Json json(const Raid& raid) const;

 private:
  Reply add_first(const std::string& raid_name, Raid raid);
  void take(Raid& raid, RaidBase& base, Bdev& bdev);
  void release(Raid& raid, RaidBase& base);
  bool bring_up(Raid& raid);
  void drop(const std::string& name);
  bool write_superblocks(const Raid& raid);
  bool read_superblock(Bdev& bdev);
  Target& target_;
  std::map<std::string, Raid> raids_;
  std::vector<std::string> order_;
};

}  // namespace vnvme::sim
