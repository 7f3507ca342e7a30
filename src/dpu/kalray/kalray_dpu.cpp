#include "dpu/kalray/kalray_dpu.hpp"

#include "core/text.hpp"
#include "dpu/spdk/functions.hpp"
#include "dpu/spdk/spdk_dpu.hpp"
#include "rpc/asio/http.hpp"

namespace vnvme::dpu::kalray {
namespace {

constexpr std::string_view kScheme = "kalray:";
constexpr std::size_t kMostNames = 4096;

}  // namespace

Result<std::unique_ptr<Dpu>> make_kalray_dpu(boost::asio::io_context& io, const Options& options) {
  auto address = options.uri.substr(kScheme.size());
  auto lower = rpc::make_connector(io, "tcp:" + address);
  if (!lower)
    return fail(Errc::invalid_argument,
                "not kalray:ADDRESS:PORT with a numeric address: \"" + options.uri + "\"");
  if (!options.credentials.starts_with('/'))
    return fail(
        Errc::invalid_argument,
        "the card at " + options.uri +
            " wants a user and a password: give it an entry in dpus[] of vnvmed.json whose "
            "\"credentials\" is the absolute path of a file with one line user:password, mode 0600" +
            (options.credentials.empty() ? "" : ", not \"" + printable(options.credentials, 64) + "\""));
  if (!options.listener.empty())
    return fail(Errc::invalid_argument, "listener: a Kalray card has PCI functions and takes no listener");
  const auto& clear = options.clear_method;
  if (!clear.empty() && clear != "unmap" && clear != "write_zeroes" && clear != "none")
    return fail(Errc::invalid_argument, "clear_method is unmap, write_zeroes or none, not \"" + clear + "\"");
  auto slots = make_slots(options.functions);
  if (!slots) return fail(std::move(slots.error()));
  rpc::HttpOptions http{.endpoint = options.uri, .credentials = options.credentials};
  auto connector = rpc::make_http_connector(io, std::move(*lower), std::move(http));
  rpc::Client::Options client;
  client.backoff = {options.retry_first, options.retry_most,
                    std::hash<std::string>{}(options.uri + random_uuid())};
  auto card = spdk::make_spdk_dpu(io, std::move(connector), clear, std::nullopt, rpc::one_at_a_time(client),
                                  spdk::Quirks{.raid_persists = true});
  return make_kalray_dpu(io, std::move(card), std::move(*slots));
}

std::unique_ptr<Dpu> make_kalray_dpu(boost::asio::io_context& io, std::unique_ptr<Dpu> card,
                                     std::vector<Slot> slots) {
  return std::make_unique<KalrayDpu>(io, std::move(card), std::move(slots));
}

KalrayDpu::KalrayDpu(boost::asio::io_context& io, std::unique_ptr<Dpu> card, std::vector<Slot> slots)
    : card_(std::move(card)), slots_(std::move(slots)), lanes_(io) {}

Task<Result<std::uint64_t>> KalrayDpu::wait_generation(std::uint64_t seen, Deadline deadline) {
  return card_->wait_generation(seen, deadline);
}
Task<Result<void>> KalrayDpu::wait_lost(Deadline deadline) {
  return card_->wait_lost(deadline);
}

Task<Result<Identity>> KalrayDpu::identify(Deadline deadline) {
  auto identity = co_await card_->identify(deadline);
  if (identity) identity->family = "kalray";
  co_return identity;
}

const Capabilities& KalrayDpu::capabilities() const {
  capabilities_ = card_->capabilities();
  capabilities_.late_binding = true;
  capabilities_.create_functions = false;
  capabilities_.pci_functions = true;
  capabilities_.namespaces_per_function = 1;
  capabilities_.max_functions = slots_.size();
  capabilities_.identity_chosen = false;
  capabilities_.pool_name = kStore;
  if (!capabilities_.raid_levels.empty()) capabilities_.raid_levels = {"raid0", "raid1", "raid10"};
  return capabilities_;
}

tl::unexpected<Error> KalrayDpu::refuse(Errc code, std::string text) const {
  return fail(Error{.code = code, .text = std::move(text), .peer = endpoint()});
}

Task<Result<rpc::Keep>> KalrayDpu::lane(std::string what, Deadline deadline) {
  auto keep = co_await lanes_.acquire("card", what, deadline);
  if (!keep) {
    keep.error().text = what + ": " + keep.error().text;
    keep.error().step = "lane of the card";
    keep.error().peer = endpoint();
  }
  co_return keep;
}

Result<void> KalrayDpu::check_name(const std::string& name) const {
  if (!is_slot(name)) return {};
  return refuse(Errc::invalid_argument,
                "the name \"" + name + "\" is that of a function of the card: no volume is called so");
}

std::string KalrayDpu::own_name(const DpuVolumeId& id) const {
  auto known = names_.find(id);
  if (known != names_.end()) return known->second;
  if (!name_of_) return {};
  // A store may have recorded what the card showed before: a slot's name is nobody's own.
  auto stored = name_of_(id).value_or("");
  return is_slot(stored) ? std::string() : stored;
}

void KalrayDpu::remember(const DpuVolumeId& id, std::string name) {
  // At most as many volumes as there are slots need it; the others are what is left of earlier ones.
  if (names_.size() >= kMostNames && !names_.contains(id)) names_.clear();
  names_.insert_or_assign(id, std::move(name));
}

Task<Result<PoolId>> KalrayDpu::store(Deadline deadline) {
  auto pools = co_await card_->list_pools(deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  for (const auto& pool : *pools)
    if (pool.name == kStore) co_return pool.id;
  co_return PoolId();
}

Task<Result<std::optional<Bound>>> KalrayDpu::bound_to(PoolId store, std::string slot, Deadline deadline) {
  auto found = co_await card_->find_volume(store, slot, deadline);
  if (!found) co_return fail(std::move(found.error()));
  if (!*found) co_return std::optional<Bound>();
  Bound there{slot, std::move(**found), ""};
  there.own = own_name(there.volume.id);
  co_return std::optional<Bound>(std::move(there));
}

// By name and not by one list of everything: behind the card's proxy a long list takes seconds.
Task<Result<std::vector<Bound>>> KalrayDpu::bound(Deadline deadline) {
  auto pool = co_await store(deadline);
  if (!pool) co_return fail(std::move(pool.error()));
  std::vector<Bound> all;
  if (pool->empty()) co_return all;
  for (const auto& slot : slots_) {
    auto there = co_await bound_to(*pool, slot.name, deadline);
    if (!there) co_return fail(std::move(there.error()));
    if (*there) all.push_back(std::move(**there));
  }
  co_return all;
}

Task<Result<std::vector<Function>>> KalrayDpu::list_functions(Deadline deadline) {
  auto there = co_await bound(deadline);
  if (!there) co_return fail(std::move(there.error()));
  co_return functions_of(slots_, lent_, *there);
}

Task<Result<Function>> KalrayDpu::open_function(std::string serial, Deadline deadline, FunctionId preferred) {
  // The card's functions keep the serial that they have; ours is a word between the services and this class,
  // and is held to the same form as with every other family.
  auto form = spdk::nqn_of_serial(serial);
  if (!form) co_return fail(std::move(form.error()));
  auto keep = co_await lane("opening function " + serial, deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  auto there = co_await bound(deadline);
  if (!there) co_return fail(std::move(there.error()));
  auto chosen = choose_slot(slots_, lent_, *there, serial, preferred);
  if (!chosen) {
    chosen.error().peer = endpoint();
    co_return fail(std::move(chosen.error()));
  }
  lent_.give(*chosen, serial);
  for (auto& f : functions_of(slots_, lent_, *there))
    if (f.id.str() == *chosen) co_return std::move(f);
  co_return fail(Errc::internal, "the function that was chosen is not there");
}

Task<Result<void>> KalrayDpu::close_function(FunctionId id, Deadline deadline) {
  const Slot* slot = slot_of(slots_, id.str());
  if (slot == nullptr) co_return Result<void>();
  auto keep = co_await lane("closing function " + id.str(), deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  if (lent_.serial_of(slot->name).empty()) co_return Result<void>();
  auto there = co_await bound(deadline);
  if (!there) co_return fail(std::move(there.error()));
  for (const auto& b : *there)
    if (b.slot == slot->name)
      co_return refuse(Errc::in_use, "function \"" + id.str() + "\" still shows volume " + b.volume.id.str());
  lent_.take_back(slot->name);
  co_return Result<void>();
}

Task<Result<std::vector<Exposure>>> KalrayDpu::list_exposures(Deadline deadline) {
  // Within the lane: halfway through an exposure nothing would be listed, or the same twice.
  auto keep = co_await lane("listing what the functions show", deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  auto there = co_await bound(deadline);
  if (!there) co_return fail(std::move(there.error()));
  co_return exposures_of(*there);
}

// Renames and looks: what the card answered is no proof, and the name is all there is.
Task<Result<void>> KalrayDpu::rename_checked(DpuVolumeId id, std::string name, Deadline deadline) {
  auto renamed = co_await card_->rename_volume(id, name, deadline);
  if (!renamed) co_return renamed;
  auto now = co_await card_->find_volume(id, deadline);
  if (!now) {
    now.error().outcome = Outcome::unknown;
    co_return fail(std::move(now.error()));
  }
  if (*now && (*now)->name == name) co_return Result<void>();
  co_return fail(Error{.code = Errc::conflict,
                       .outcome = Outcome::unknown,
                       .text = "the card said that it renamed volume " + id.str() + " to \"" + name +
                               "\", yet does not show it",
                       .step = "bdev_lvol_rename",
                       .peer = endpoint()});
}

Task<Result<void>> KalrayDpu::bind(Expose want, const Slot& slot, Deadline deadline) {
  DpuVolumeId id(want.target);
  auto volume = co_await card_->find_volume(id, deadline);
  if (!volume) co_return fail(std::move(volume.error()));
  if (!*volume) co_return refuse(Errc::not_found, "the card has no volume " + want.target);
  auto pool = co_await store(deadline);
  if (!pool) co_return fail(std::move(pool.error()));
  if ((*volume)->pool != *pool)
    co_return refuse(Errc::not_supported, "the card shows volumes of pool \"" + std::string(kStore) +
                                              "\" only, and " + want.target + " is in another one");
  const std::string now = (*volume)->name;
  if (is_slot(now) && own_name(id).empty())
    co_return refuse(Errc::in_use, "volume " + want.target + " is called \"" + now +
                                       "\", and the store does not know it: it is left alone");
  if (now == slot.name) co_return Result<void>();
  if (is_slot(now))
    co_return refuse(Errc::in_use,
                     "volume " + want.target + " is on function \"" + now + "\" of the card already");
  auto other = co_await bound_to(*pool, slot.name, deadline);
  if (!other) co_return fail(std::move(other.error()));
  if (*other)
    co_return refuse((*other)->foreign() ? Errc::in_use : Errc::conflict,
                     "function \"" + slot.name + "\" shows volume " + (*other)->volume.id.str() +
                         ((*other)->foreign() ? ", which vnvme does not know, and is left alone"
                                              : " already: a function of this card carries one volume"));
  // Known before it is renamed: from then on this is the only place on this side of the store that has it.
  remember(id, now);
  co_return co_await rename_checked(id, slot.name, deadline);
}

Task<Result<void>> KalrayDpu::expose(Expose want, Deadline deadline) {
  if (!parse_uuid(want.uuid))
    co_return fail(Errc::invalid_argument,
                   "a namespace needs a uuid, not \"" + printable(want.uuid, 64) + "\"");
  auto target = parse_uuid(want.target);
  if (!target)
    co_return refuse(Errc::not_supported,
                     "the card shows volumes only, no drive: \"" + printable(want.target, 64) + "\"");
  want.target = *target;
  auto keep = co_await lane("exposing " + want.target, deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  const Slot* slot = slot_of(slots_, want.function.str());
  if (slot == nullptr || lent_.serial_of(slot->name).empty())
    co_return refuse(Errc::not_found, "function \"" + want.function.str() + "\" is not opened");
  if (want.nsid != 1) {
    // Said first when both are true: a second volume is the usual reason for a second number.
    auto there = co_await bound(deadline);
    if (!there) co_return fail(std::move(there.error()));
    for (const auto& b : *there)
      if (b.volume.id.str() == want.target)
        co_return refuse(Errc::in_use,
                         "volume " + want.target + " is on function \"" + b.slot + "\" already");
    co_return refuse(Errc::invalid_argument, "namespace id " + std::to_string(want.nsid) +
                                                 ": a function of this card has namespace 1 and no other");
  }
  co_return co_await bind(std::move(want), *slot, deadline);
}

Task<Result<void>> KalrayDpu::unexpose(FunctionId id, std::uint32_t nsid, Deadline deadline) {
  const Slot* slot = slot_of(slots_, id.str());
  if (slot == nullptr || nsid != 1) co_return Result<void>();
  auto keep = co_await lane("taking the volume from " + id.str(), deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  auto pool = co_await store(deadline);
  if (!pool) co_return fail(std::move(pool.error()));
  if (pool->empty()) co_return Result<void>();
  auto there = co_await bound_to(*pool, slot->name, deadline);
  if (!there) co_return fail(std::move(there.error()));
  if (!*there) co_return Result<void>();
  const Bound& b = **there;
  if (b.foreign())
    co_return refuse(Errc::not_permitted, "function \"" + id.str() + "\" shows volume " + b.volume.id.str() +
                                              ", which vnvme does not know: it is left alone");
  const auto volume = b.volume.id;
  auto name = b.own;
  auto renamed = co_await rename_checked(volume, std::move(name), deadline);
  if (renamed) names_.erase(volume);
  co_return renamed;
}

}  // namespace vnvme::dpu::kalray
