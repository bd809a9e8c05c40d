/** A list of the API that comes in pages, and a way to read one more. */
import { useInfiniteQuery } from "@tanstack/react-query";

interface Slice<Item> {
  items: Item[];
  next?: string | null;
}

export function usePages<Item>(key: readonly unknown[], read: (cursor: string | undefined) => Promise<Slice<Item>>) {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => read(pageParam || undefined),
    initialPageParam: "",
    getNextPageParam: (last) => last.next ?? undefined,
    placeholderData: (before) => before,
  });
  return {
    rows: query.data?.pages.flatMap((page) => page.items),
    error: query.error,
    retry: () => void query.refetch(),
    more: query.hasNextPage ? () => void query.fetchNextPage() : undefined,
    busy: query.isFetchingNextPage,
  };
}
