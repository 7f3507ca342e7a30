#include "dpusim/mutation.hpp"

#include <cerrno>

namespace vnvme::sim {

void mutate(Target& target, const std::string& method, Lvstore& store, Lvol* lvol, const Done& done,
            std::function<Reply(Lvstore&, Lvol*)> act) {
  if (store.in_flight > 0) ++target.counters.overlapping_mutations;
  ++store.in_flight;
  auto id = lvol == nullptr ? 0 : lvol->id;
  if (lvol != nullptr) lvol->busy = method;
  target.later(method, [t = &target, method, uuid = store.uuid(), id, done, act = std::move(act)] {
    Lvstore* now = t->store_by(uuid, true);
    if (now == nullptr) return done(refuse_late(ENODEV));
    --now->in_flight;
    Lvol* mine = id == 0 ? nullptr : now->by_id(id);
    if (id != 0 && (mine == nullptr || mine->busy != method)) return;
    if (mine != nullptr) mine->busy.clear();
    done(act(*now, mine));
  });
}

StoreKey find_store(const Target& target, const Args& args, const char* uuid_key) {
  auto uuid = args.text(uuid_key), name = args.text("lvs_name");
  if (uuid.has_value() == name.has_value()) return {nullptr, EINVAL};
  Lvstore* store = uuid ? target.store_by(*uuid, true) : target.store_by(*name, false);
  return {store, store == nullptr ? ENODEV : 0};
}

}  // namespace vnvme::sim
