"""Lists are paged by id: ids sort by time, so a page never shifts while rows are added."""

from rest_framework.pagination import CursorPagination


class ById(CursorPagination):
    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
