// Changes of an lvol store take time: they begin, other requests may come, they end. What the real target
// does with requests that overlap is simulated here, its crashes and lost answers included.
#pragma once
#include <functional>
#include <string>

#include "dpusim/params.hpp"
#include "dpusim/target.hpp"

namespace vnvme::sim {

// Runs `act` after the latency of `method` and answers with what it gives. lvol may be null (a change of the
// store). Never answers when another operation took the lvol over meanwhile: so a resize is lost when a
// delete overtakes it.
void mutate(Target& target, const std::string& method, Lvstore& store, Lvol* lvol, const Done& done,
            std::function<Reply(Lvstore&, Lvol*)> act);

// The store that "lvs_name" or the uuid key names: exactly one of both must be given.
struct StoreKey {
  Lvstore* store = nullptr;
  int error = 0;
};
StoreKey find_store(const Target& target, const Args& args, const char* uuid_key);

}  // namespace vnvme::sim
