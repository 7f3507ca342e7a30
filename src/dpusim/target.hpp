// The whole simulated target: what it holds, and what its method handlers share.
#pragma once
#include <deque>
#include <set>

#include "dpusim/bdev.hpp"
#include "dpusim/profile.hpp"
#include "dpusim/raid.hpp"
#include "dpusim/rpc.hpp"
#include "dpusim/slots.hpp"

namespace vnvme::sim {

class Nvmf;
class Initiator;
class Snap;
class Faults;

struct DriveOption {
  std::string name, serial, model;
  std::uint64_t size = 0, block_size = 512;
  bool unmap_zeroes = false;
};

struct Settings {
  std::string state;  // folder
  std::string sysfs;  // root of the fake tree, or empty
  std::string nbd;    // folder of NBD sockets, or empty
  Profile profile;
  std::vector<DriveOption> drives;
  bool snap = true;
  std::uint64_t vfs = 4, hotplug = 8;
  // profile kalray: its functions, and when a volume gets onto one
  std::vector<SlotOption> slots = default_slots();
  Binding binding = Binding::by_name;
};

// Runs something later: after `ms`, or as soon as the requests at hand have been started when it is 0.
using Later = std::function<void(std::uint64_t ms, std::function<void()>)>;

struct Counters {
  std::map<std::string, std::uint64_t> calls;
  std::uint64_t overlapping_mutations = 0;
};

class Target {
 public:
  Target(Settings settings, Later later);
  ~Target();
  // Opens the drives and whatever they hold. An error names the file.
  Result<void> start();

  using Handler = std::function<void(const Json* params, const Done&)>;
  void on(std::string name, Handler handler);
  void on_sync(std::string name, std::function<Reply(const Json* params)> handler);
  [[nodiscard]] const Handler* method(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, Handler>& methods() const { return methods_; }

  // Block devices come and go through these two, so that everything that stands on them follows.
  Bdev* add_bdev(std::unique_ptr<Bdev> bdev);
  void remove_bdev(Bdev& bdev);
  void examine(Bdev& bdev);

  Lvstore* store_by(const std::string& name_or_uuid, bool by_uuid) const;
  Bdev* add_lvol_bdev(Lvstore& store, Lvol& lvol);
  void unload_store(Lvstore& store, bool destroy);
  void add_store(std::unique_ptr<Lvstore> store, Bdev& base);
  [[nodiscard]] const std::vector<std::unique_ptr<Lvstore>>& stores() const { return stores_; }

  void notify(std::string type, const std::string& bdev);
  // Ends an unfinished call: after the latency of that method.
  void later(const std::string& method, std::function<void()> act);
  // The real target dies here. Says why on stderr and ends the process at once, as a crash does.
  [[noreturn]] static void crash(const std::string& why);

  // I/O with the counters that bdev_get_iostat shows.
  int read(Bdev& bdev, std::uint64_t offset, std::span<char> into);
  int write(Bdev& bdev, std::uint64_t offset, std::span<const char> from);
  int zero(Bdev& bdev, std::uint64_t offset, std::uint64_t length);
  int unmap(Bdev& bdev, std::uint64_t offset, std::uint64_t length);

  struct Notification {
    std::uint64_t id;
    std::string type, ctx;
  };
  Settings settings;
  Profile profile;
  Bdevs bdevs;
  Raids raids;
  Counters counters;
  std::deque<Notification> notifications;
  std::uint64_t next_notification = 0;
  std::map<std::string, std::uint64_t> latency;
  std::map<std::string, std::uint64_t> base_claims;  // lvol stores being made: the newest of each bdev wins
  std::unique_ptr<Nvmf> nvmf;
  std::unique_ptr<Initiator> initiator;
  std::unique_ptr<Snap> snap;
  std::unique_ptr<Slots> slots;  // null unless the profile has them
  std::unique_ptr<Faults> faults;
  Later later_;
  // Set by the program when --nbd-dir is given: a socket for each exposed namespace.
  std::function<std::string(Bdev&)> nbd_open;
  std::function<void(Bdev&)> nbd_close;

 private:
  void keep_methods_of_kalray();
  Result<void> open_drive(const DriveOption& drive, std::size_t index);
  Result<std::vector<DriveOption>> remembered_drives();
  std::map<std::string, Handler> methods_;
  std::vector<std::unique_ptr<Lvstore>> stores_;
};

}  // namespace vnvme::sim
