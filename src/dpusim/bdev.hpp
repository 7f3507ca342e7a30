// Block devices as SPDK names and shows them.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "dpusim/lvstore.hpp"
#include "dpusim/profile.hpp"

namespace vnvme::sim {

enum class Kind { nvme, aio, malloc, raid, lvol };

struct IoStats {
  std::uint64_t bytes_read = 0, reads = 0, bytes_written = 0, writes = 0, bytes_unmapped = 0, unmaps = 0;
};

struct Bdev {
  Kind kind = Kind::aio;
  std::string name, uuid;
  std::string alias;  // beside the uuid; lvols: "store/name"
  std::uint64_t block_size = 512, blocks = 0;
  BlockDevice* device = nullptr;
  std::unique_ptr<BlockDevice> owned;
  std::string claim;       // SPDK's claim type, or empty
  std::string claimed_by;  // "lvol", "raid", "nvmf", "esnap" or empty
  Json driver = Json::object();
  Json extra = Json::object();  // members that only this kind shows
  Lvol* lvol = nullptr;
  Lvstore* store = nullptr;
  std::map<std::string, std::uint64_t> limits;
  bool limited_unopened = false;  // v26 refuses any further limit then
  IoStats stats;
  bool remote = false;  // the uuid is another bdev's name as well, which keeps it
  std::uint64_t order = 0;

  [[nodiscard]] std::uint64_t bytes() const { return blocks * block_size; }
};

class Bdevs {
 public:
  Bdev* add(std::unique_ptr<Bdev> bdev);  // null when a name of it is taken
  void remove(Bdev& bdev);
  bool rename_alias(Bdev& bdev, const std::string& alias);
  // By name, uuid or alias.
  [[nodiscard]] Bdev* find(const std::string& name) const;
  [[nodiscard]] const std::map<std::uint64_t, std::unique_ptr<Bdev>>& all() const { return bdevs_; }

 private:
  std::map<std::uint64_t, std::unique_ptr<Bdev>> bdevs_;
  std::unordered_map<std::string, Bdev*> names_;
  std::uint64_t next_ = 1;
};

// One element of bdev_get_bdevs, as text: thousands of lvols are listed at once, and no tree need be built.
std::string bdev_text(const Bdev& bdev, const Profile& profile);
Json iostat_json(const Bdev& bdev, const Profile& profile);

}  // namespace vnvme::sim
